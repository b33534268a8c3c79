"""The people, the target and the draft of the application's tests."""

from tests.app.conftest import approver, draft, operator, requester, target

__all__ = ["approver", "draft", "operator", "requester", "target"]
