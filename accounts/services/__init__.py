"""Everything that changes people, projects, keys and the trail of events."""

from accounts.services.deletion import (
    project_commons,
    project_contents_of,
    project_delete,
    project_work_of,
    projects_sweep,
    why_not_deletable,
)
from accounts.services.email import (
    email_change,
    email_change_cancel,
    email_confirm,
    email_set,
    email_waiting,
    mail_goes_out,
)
from accounts.services.events import event_record, live_touch
from accounts.services.invitations import invitation_create, invitation_withdraw
from accounts.services.keys import api_key_create, api_key_revoke
from accounts.services.projects import (
    member_add,
    member_remove,
    member_set,
    project_create,
    project_enter,
    project_hold,
    project_leave,
    project_limits_set,
    project_rename,
    project_usage_of,
    role_require,
    user_named,
)
from accounts.services.users import (
    operator_create,
    user_limits_set,
    user_password_change,
    user_profile_set,
    user_register,
)

__all__ = [
    "api_key_create",
    "api_key_revoke",
    "email_change",
    "email_change_cancel",
    "email_confirm",
    "email_set",
    "email_waiting",
    "event_record",
    "invitation_create",
    "invitation_withdraw",
    "live_touch",
    "mail_goes_out",
    "member_add",
    "member_remove",
    "member_set",
    "operator_create",
    "project_commons",
    "project_contents_of",
    "project_create",
    "project_delete",
    "project_enter",
    "project_hold",
    "project_leave",
    "project_limits_set",
    "project_rename",
    "project_usage_of",
    "project_work_of",
    "projects_sweep",
    "role_require",
    "user_limits_set",
    "user_named",
    "user_password_change",
    "user_profile_set",
    "user_register",
    "why_not_deletable",
]
