"""Rows of the site's own addresses, of signing in, and of people and projects."""

from tests.access.table import (
    EVERYBODY,
    IN,
    LOGIN,
    MANAGERS,
    PEOPLE,
    SIGNED_IN,
    VIEWERS,
    Row,
    api,
    at_least,
)

MEMBERS_ONLY = {**VIEWERS, "operator": 404}  # who is no member cannot leave
OPERATORS_403 = at_least(100, outside=403)
OWNERS_OWN = {**dict.fromkeys(PEOPLE, 404), "anonymous": LOGIN, "owner": IN}
LOGGED_OUT = dict.fromkeys(PEOPLE, LOGIN)
OPERATORS_404 = at_least(100)

SITE = {
    "home": Row(get=SIGNED_IN),
    "search": Row(get=SIGNED_IN, query="q=te"),
    "project_lineage": Row(get=VIEWERS),
    "api-project-lineage": api(get=VIEWERS),
    "api-project-retention": api(get=VIEWERS, put=MANAGERS, delete=MANAGERS),
    "set_language": Row(get=EVERYBODY, post=EVERYBODY, data={"language": "en"}, any_method=True),
    "schema": Row(get=EVERYBODY),
    "docs": Row(get=EVERYBODY),
    "api-root": Row(get=EVERYBODY),
}
SIGNING_IN = {
    "account_login": Row(any_method=True, get=EVERYBODY, post=EVERYBODY),
    "account_logout": Row(any_method=True, get={**EVERYBODY, "anonymous": LOGIN}, post=LOGGED_OUT),
    "account_inactive": Row(any_method=True, get=EVERYBODY),
    "account_signup": Row(any_method=True, get=EVERYBODY, post=EVERYBODY),
    "account_change_password": Row(any_method=True, get=SIGNED_IN, post=SIGNED_IN),
    "account_set_password": Row(any_method=True, get=SIGNED_IN, post=SIGNED_IN),
    "account_reset_password": Row(any_method=True, get=EVERYBODY, post=EVERYBODY),
    "account_reset_password_done": Row(any_method=True, get=EVERYBODY),
    "account_reset_password_from_key": Row(any_method=True, get=EVERYBODY, post=EVERYBODY),
    "account_reset_password_from_key_done": Row(any_method=True, get=EVERYBODY),
}
PAGES = {
    "accounts:settings": Row(get=SIGNED_IN, post=SIGNED_IN),
    "accounts:email_change": Row(post=SIGNED_IN),
    "accounts:email_change_cancel": Row(post=SIGNED_IN),
    "accounts:email_confirm": Row(get=EVERYBODY, post=EVERYBODY),
    "accounts:invitation_list": Row(get=OPERATORS_404, post=OPERATORS_404),
    "accounts:invitation_withdraw": Row(post=OPERATORS_404),
    "accounts:api_key_list": Row(get=SIGNED_IN, post=SIGNED_IN),
    "accounts:api_key_revoke": Row(post=OWNERS_OWN, objects={"key_id": "key"}),
    "accounts:project_list": Row(get=SIGNED_IN),
    "accounts:project_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "accounts:project_current": Row(get=SIGNED_IN),
    "accounts:project_switch": Row(post=VIEWERS, data={"project": "team"}),
    "accounts:project_detail": Row(get=VIEWERS),
    "accounts:project_rename": Row(post=MANAGERS),
    "accounts:project_limits_set": Row(post=at_least(100)),
    "accounts:project_leave": Row(post=MEMBERS_ONLY),
    "accounts:project_delete": Row(get=MANAGERS, post=MANAGERS, data={"name": "team"}),
    "accounts:member_add": Row(post=MANAGERS),
    "accounts:member_set": Row(post=MANAGERS),
    "accounts:member_remove": Row(post=MANAGERS),
}
API = {
    "api-register": Row(post=EVERYBODY),
    "api-login": Row(post=EVERYBODY),
    "api-me": api(get=SIGNED_IN, patch=SIGNED_IN),
    "api-me-email": api(post=SIGNED_IN, delete=SIGNED_IN),
    "api-me-email-confirm": Row(post=EVERYBODY),
    "api-me-password": api(post=SIGNED_IN),
    "api-key-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-key-detail": api("key", get=OWNERS_OWN, delete=OWNERS_OWN),
    "api-project-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-project-detail": api("team", get=VIEWERS, patch=MANAGERS, delete=MANAGERS),
    "api-project-leave": api("team", post=VIEWERS),
    "api-project-members": api("team", get=VIEWERS, post=MANAGERS),
    "api-project-member": api("team", put=MANAGERS, delete=MANAGERS),
    "api-invitation-list": api(get=OPERATORS_403, post=OPERATORS_403),
    "api-invitation-detail": api("invitation", get=OPERATORS_403, delete=OPERATORS_403),
}
ROWS = {**SITE, **SIGNING_IN, **PAGES, **API}
