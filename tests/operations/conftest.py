"""The people, the target, the draft and the workers of the application's tests."""

from tests.app.conftest import approver, draft, operator, requester, target, workers

__all__ = ["approver", "draft", "operator", "requester", "target", "workers"]
