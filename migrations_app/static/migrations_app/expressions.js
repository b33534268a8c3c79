// Reads the expressions in the pages' x- attributes without eval, so that the pages can forbid it.
//
// Alpine compiles `x-on:click="open = !open"` with the Function constructor, which a strict
// Content-Security-Policy does not allow. This evaluator takes its place: it reads the part of
// JavaScript that the pages use, and knows no global but those listed here. What it cannot read is
// an error in the console, never something else than was written.
(function () {
  "use strict";

  // What an expression may name besides the data around it.
  const GLOBALS = [
    "getCurrentTab", "localStorage", "moveRecords", "searchCommand", "searchDropdown", "searchForm",
    "sortRecords", "theme",
  ];
  // The way from any value to the Function constructor.
  const FORBIDDEN = new Set(["constructor", "__proto__", "prototype", "__lookupGetter__"]);
  const CONSTANTS = new Map([["true", true], ["false", false], ["null", null], ["undefined", undefined]]);
  const TOKEN =
    /\s*(?:(\d+(?:\.\d+)?)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([A-Za-z_$][\w$]*)|(=>|===|!==|==|!=|<=|>=|&&|\|\||\?\?|\?\.|\+\+|--|\+=|-=|[-+*\/%<>!=?:;,.(){}\[\]]))/y;
  // From the loosest to the tightest.
  const BINARY = [
    ["??"], ["||"], ["&&"], ["===", "!==", "==", "!="], ["<", ">", "<=", ">="], ["+", "-"], ["*", "/", "%"],
  ];
  const OPERATIONS = {
    "===": (a, b) => a === b, "!==": (a, b) => a !== b,
    "==": (a, b) => a == b, "!=": (a, b) => a != b, // eslint-disable-line eqeqeq
    "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
    "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b,
    "%": (a, b) => a % b,
  };

  function tokens(text) {
    const found = [];
    TOKEN.lastIndex = 0;
    const end = text.trimEnd().length;
    while (TOKEN.lastIndex < end) {
      const at = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (!match) throw new SyntaxError("cannot be read from here: " + text.slice(at));
      const [, number, single, double, name, sign] = match;
      if (number !== undefined) found.push({ kind: "value", value: Number(number) });
      else if (name !== undefined) found.push({ kind: "name", value: name });
      else if (sign !== undefined) found.push({ kind: "sign", value: sign });
      else found.push({ kind: "value", value: (single ?? double).replace(/\\(.)/g, "$1") });
    }
    return found;
  }

  function checked(key) {
    if (FORBIDDEN.has(String(key))) throw new TypeError(key + " may not be used in a page");
    return key;
  }

  // A parsed piece is a function of the scope. A piece that can be assigned to also has `at`, which
  // gives the object and the key it stands for.
  class Parser {
    constructor(text) {
      this.tokens = tokens(text);
      this.index = 0;
    }

    sees(sign, ahead = 0) {
      const token = this.tokens[this.index + ahead];
      return token !== undefined && token.kind === "sign" && token.value === sign;
    }

    takes(sign) {
      if (!this.sees(sign)) return false;
      this.index += 1;
      return true;
    }

    expects(sign) {
      if (!this.takes(sign)) throw new SyntaxError("expected " + sign);
    }

    name() {
      const token = this.tokens[this.index++];
      if (!token || token.kind !== "name") throw new SyntaxError("expected a name");
      return token.value;
    }

    program(end) {
      const parts = [];
      while (this.index < this.tokens.length && !(end && this.sees(end))) {
        if (!this.takes(";")) parts.push(this.statement());
      }
      return (scope) => parts.reduce((_, part) => part(scope), undefined);
    }

    statement() {
      const token = this.tokens[this.index];
      if (token.kind === "name" && token.value === "if") return this.condition();
      return this.expression();
    }

    block() {
      if (!this.takes("{")) return this.statement();
      const body = this.program("}");
      this.expects("}");
      return body;
    }

    condition() {
      this.index += 1;
      this.expects("(");
      const test = this.expression();
      this.expects(")");
      const then = this.block();
      const token = this.tokens[this.index];
      let otherwise = () => undefined;
      if (token && token.kind === "name" && token.value === "else") {
        this.index += 1;
        otherwise = this.block();
      }
      return (scope) => (test(scope) ? then(scope) : otherwise(scope));
    }

    expression() {
      const arrow = this.arrow();
      if (arrow) return arrow;
      const left = this.ternary();
      for (const sign of ["=", "+=", "-="]) {
        if (left.at && this.takes(sign)) {
          const right = this.expression();
          return (scope) => {
            const [object, key] = left.at(scope);
            const value = right(scope);
            if (sign === "=") object[key] = value;
            else object[key] += sign === "+=" ? value : -value;
            return object[key];
          };
        }
      }
      return left;
    }

    // `value => …` and `(a, b) => …`; undefined when there is none here.
    arrow() {
      const start = this.index;
      const names = [];
      const token = this.tokens[start];
      if (token && token.kind === "name" && this.sees("=>", 1)) {
        names.push(this.name());
      } else if (this.takes("(")) {
        while (this.tokens[this.index] && this.tokens[this.index].kind === "name") {
          names.push(this.name());
          if (!this.takes(",")) break;
        }
        if (!this.takes(")") || !this.sees("=>")) {
          this.index = start;
          return undefined;
        }
      } else {
        return undefined;
      }
      this.expects("=>");
      const body = this.block();
      return (scope) =>
        (...values) => {
          const inner = Object.fromEntries(names.map((name, index) => [name, values[index]]));
          return body(window.Alpine.mergeProxies([inner, scope]));
        };
    }

    ternary() {
      const test = this.binary(0);
      if (!this.takes("?")) return test;
      const then = this.expression();
      this.expects(":");
      const otherwise = this.expression();
      return (scope) => (test(scope) ? then(scope) : otherwise(scope));
    }

    binary(level) {
      if (level === BINARY.length) return this.unary();
      let left = this.binary(level + 1);
      for (;;) {
        const sign = BINARY[level].find((one) => this.sees(one));
        if (!sign) return left;
        this.index += 1;
        left = joined(sign, left, this.binary(level + 1));
      }
    }

    unary() {
      for (const [sign, operation] of [["!", (value) => !value], ["-", (value) => -value]]) {
        if (this.takes(sign)) {
          const piece = this.unary();
          return (scope) => operation(piece(scope));
        }
      }
      return this.postfix();
    }

    postfix() {
      let piece = this.primary();
      for (;;) {
        if (this.takes("(")) piece = called(piece, this.list(")"));
        else if (this.takes(".")) piece = member(piece, constant(this.name()), false);
        else if (this.takes("?.")) piece = member(piece, constant(this.name()), true);
        else if (this.takes("[")) {
          piece = member(piece, this.expression(), false);
          this.expects("]");
        } else return piece;
      }
    }

    list(end) {
      const pieces = [];
      while (!this.takes(end)) {
        pieces.push(this.expression());
        if (!this.sees(end)) this.expects(",");
      }
      return pieces;
    }

    primary() {
      if (this.takes("(")) {
        const piece = this.expression();
        this.expects(")");
        return piece;
      }
      if (this.takes("[")) {
        const pieces = this.list("]");
        return (scope) => pieces.map((piece) => piece(scope));
      }
      if (this.takes("{")) return this.object();
      const token = this.tokens[this.index++];
      if (!token || token.kind === "sign") throw new SyntaxError("a value is missing");
      if (token.kind === "value") return constant(token.value);
      return CONSTANTS.has(token.value) ? constant(CONSTANTS.get(token.value)) : variable(token.value);
    }

    object() {
      const entries = [];
      while (!this.takes("}")) {
        const token = this.tokens[this.index++];
        if (!token || token.kind === "sign") throw new SyntaxError("expected a member's name");
        const value = this.takes(":") ? this.expression() : variable(token.value);
        entries.push([checked(token.value), value]);
        if (!this.sees("}")) this.expects(",");
      }
      return (scope) => Object.fromEntries(entries.map(([key, value]) => [key, value(scope)]));
    }
  }

  function constant(value) {
    return () => value;
  }

  function joined(sign, left, right) {
    if (sign === "&&") return (scope) => left(scope) && right(scope);
    if (sign === "||") return (scope) => left(scope) || right(scope);
    if (sign === "??") return (scope) => left(scope) ?? right(scope);
    const operation = OPERATIONS[sign];
    return (scope) => operation(left(scope), right(scope));
  }

  function variable(name) {
    checked(name);
    const find = (scope) => {
      if (name in scope) return [scope, name];
      if (name === "window") return [{ window: { location: window.location } }, name];
      if (GLOBALS.includes(name)) return [window, name];
      throw new ReferenceError(name + " is not defined for a page");
    };
    const piece = (scope) => {
      const [object, key] = find(scope);
      return object[key];
    };
    // What nothing declares, an assignment declares in the outermost data.
    piece.at = (scope) => (GLOBALS.includes(name) && !(name in scope) ? find(scope) : [scope, name]);
    return piece;
  }

  function member(piece, key, isOptional) {
    const at = (scope) => [piece(scope), checked(key(scope))];
    const read = (scope) => {
      const [object, name] = at(scope);
      return isOptional && (object === null || object === undefined) ? undefined : object[name];
    };
    read.at = at;
    return read;
  }

  function called(piece, pieces) {
    return (scope) => {
      const values = pieces.map((one) => one(scope));
      if (!piece.at) return piece(scope)(...values);
      const [object, key] = piece.at(scope);
      return object[key](...values);
    };
  }

  const parsed = new Map();

  function parse(text) {
    if (!parsed.has(text)) {
      const parser = new Parser(text);
      // A `{` at the beginning is an object, as it is where data is described.
      const program = parser.program();
      parsed.set(text, program);
    }
    return parsed.get(text);
  }

  function give(receiver, value, scope, params) {
    if (typeof value === "function") value = value.apply(scope, params);
    if (value instanceof Promise) value.then(receiver);
    else receiver(value);
  }

  function evaluator(element, expression) {
    return function (receiver = () => {}, { scope = {}, params = [] } = {}) {
      const whole = window.Alpine.mergeProxies([
        scope, { $el: element }, ...window.Alpine.closestDataStack(element),
      ]);
      try {
        const value = typeof expression === "function" ? expression : parse(expression)(whole);
        give(receiver, value, whole, params);
      } catch (error) {
        console.error("“" + expression + "” could not be evaluated:", error, element);
      }
    };
  }

  // htmx would write a style element and evaluate attributes; both are forbidden, and not needed.
  if (window.htmx) Object.assign(window.htmx.config, { includeIndicatorStyles: false, allowEval: false });
  document.addEventListener("alpine:init", () => window.Alpine.setEvaluator(evaluator));
})();
