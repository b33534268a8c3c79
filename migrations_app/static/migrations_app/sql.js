// Colours for SQL: in blocks that are read, and behind the editor that it is written in.
//
// The editor stays a plain text field, so that everything a browser can do with one (undo, spelling,
// screen readers, forms) works. Its letters are transparent, and the coloured ones lie behind it.
// Where this does not run, the field is what it was.
(function () {
  "use strict";

  const KEYWORDS =
    "ADD AFTER ALGORITHM ALTER ALWAYS AND AS ASC AUTO_INCREMENT BY CHANGE CHARACTER CHARSET CHECK " +
    "COLLATE COLUMN COLUMNS COMMENT CONSTRAINT CONVERT CREATE DEFAULT DESC DISABLE DISTINCT DROP " +
    "ENFORCED ENGINE EXISTS FALSE FIRST FORCE FOREIGN FULLTEXT GENERATED HASH IF IN INDEX INVISIBLE " +
    "IS KEY KEYS KEY_BLOCK_SIZE LESS LIKE LIST LOCK MAXVALUE MODIFY NOT NULL ON OR ORDER PARSER " +
    "PARTITION PARTITIONS PRIMARY RANGE REFERENCES REMOVE RENAME ROW_FORMAT SET SPATIAL SRID STORED " +
    "TABLE THAN TO TRUE UNIQUE UPDATE USING VALUES VIRTUAL VISIBLE WITH";
  const TYPES =
    "BIGINT BINARY BIT BLOB BOOL BOOLEAN CHAR DATE DATETIME DEC DECIMAL DOUBLE ENUM FLOAT GEOMETRY " +
    "INT INTEGER JSON LINESTRING LONGBLOB LONGTEXT MEDIUMBLOB MEDIUMINT MEDIUMTEXT NUMERIC POINT " +
    "POLYGON REAL SIGNED SMALLINT TEXT TIME TIMESTAMP TINYBLOB TINYINT TINYTEXT UNSIGNED VARBINARY " +
    "VARCHAR VECTOR YEAR ZEROFILL";
  const kinds = new Map();
  for (const word of KEYWORDS.split(" ")) kinds.set(word, "keyword");
  for (const word of TYPES.split(" ")) kinds.set(word, "type");

  // Comments, strings, quoted names, numbers, words; what is in none is left as it is.
  const TOKEN = new RegExp(
    [
      /(?<comment>\/\*[^]*?(?:\*\/|$)|#[^\n]*|--(?=[\s]|$)[^\n]*)/,
      /(?<string>'(?:[^'\\]|\\[^]|'')*(?:'|$)|"(?:[^"\\]|\\[^]|"")*(?:"|$))/,
      /(?<name>`(?:[^`]|``)*(?:`|$))/,
      /(?<number>\b\d+(?:\.\d+)?\b)/,
      /(?<word>[\p{L}_$][\p{L}\p{N}_$]*)/,
    ]
      .map((part) => part.source)
      .join("|"),
    "gu",
  );

  function paint(text, into) {
    const pieces = document.createDocumentFragment();
    let end = 0;
    for (const match of text.matchAll(TOKEN)) {
      let kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
      if (kind === "word") kind = kinds.get(match[0].toUpperCase());
      if (!kind) continue;
      pieces.append(text.slice(end, match.index));
      const span = document.createElement("span");
      span.className = "sp-sql-" + kind;
      span.textContent = match[0];
      pieces.append(span);
      end = match.index + match[0].length;
    }
    // A last line that is empty has no height of its own.
    pieces.append(text.slice(end) + "\n");
    into.replaceChildren(pieces);
  }

  function attach(field) {
    const behind = document.createElement("pre");
    behind.className = "sp-editor-behind";
    behind.setAttribute("aria-hidden", "true");
    const editor = document.createElement("div");
    editor.className = "sp-editor";
    field.replaceWith(editor);
    editor.append(behind, field);
    const update = () => paint(field.value, behind);
    const follow = () => {
      behind.scrollTop = field.scrollTop;
      behind.scrollLeft = field.scrollLeft;
    };
    field.addEventListener("input", update);
    field.addEventListener("scroll", follow);
    // The browser gives back what was typed when one comes back to a page.
    window.addEventListener("pageshow", update);
    update();
  }

  document.addEventListener("DOMContentLoaded", function () {
    for (const block of document.querySelectorAll("pre[data-sql]")) paint(block.textContent, block);
    for (const field of document.querySelectorAll("textarea[data-sql]")) attach(field);
  });
})();
