"""Events in people's words. A verb or a state that is not listed here is shown as it is."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy

from accounts.models import Event, Role
from common.phrases import gettext as _

# By verb, or more exactly by `app.model:verb`; `%(…)s` takes the event's facts, its old and new.
SENTENCES: Mapping[str, Any] = {
    "added": gettext_lazy("added"),
    "alert_closed": gettext_lazy("over: %(new)s"),
    "alert_opened": gettext_lazy("alert: %(new)s"),
    "cancelled": gettext_lazy("cancelled"),
    "changed": gettext_lazy("changed"),
    "checked": gettext_lazy("checked: %(new)s"),
    "columns_named": gettext_lazy("columns named"),
    "created": gettext_lazy("was created"),
    "deleted": gettext_lazy("deleted"),
    "disabled": gettext_lazy("no longer offered"),
    "drain": gettext_lazy("is being emptied"),
    "edits_discarded": gettext_lazy("edits of %(old)s discarded"),
    "edits_refused": gettext_lazy("could not be saved"),
    "edits_saved": gettext_lazy("saved as a version"),
    "edits_saving": gettext_lazy("is being saved"),
    "email_asked": gettext_lazy("asked for the e-mail address %(to)s"),
    "email_changed": gettext_lazy("changed the e-mail address"),
    "email_kept": gettext_lazy("kept the e-mail address"),
    "enabled": gettext_lazy("offered for training"),
    "evaluated": gettext_lazy("evaluated"),
    "evaluation_refused": gettext_lazy("the scores could not be computed"),
    "gpu_excluded": gettext_lazy("GPU %(gpu)s taken out after %(count)s errors"),
    "handed_over": gettext_lazy("handed over from %(from)s"),
    "import_asks": gettext_lazy("found several things to choose from"),
    "import_begun": gettext_lazy("begun"),
    "import_chosen": gettext_lazy("chosen what to fetch"),
    "import_done": gettext_lazy("came to its end"),
    "import_failed": gettext_lazy("could not go on"),
    "imported": gettext_lazy("imported"),
    "joined": gettext_lazy("joined with a token"),
    "limits_changed": gettext_lazy("limits changed"),
    "made_private": gettext_lazy("made private"),
    "member_added": gettext_lazy("%(user)s came in as %(new)s"),
    "member_changed": gettext_lazy("%(user)s: from %(old)s to %(new)s"),
    "member_left": gettext_lazy("%(user)s left"),
    "member_removed": gettext_lazy("%(user)s was removed"),
    "moved": gettext_lazy("goes on elsewhere"),
    "note": gettext_lazy("note changed"),
    "operator_created": gettext_lazy("made an operator"),
    "password_changed": gettext_lazy("changed the password"),
    "paused": gettext_lazy("pause asked for"),
    "priority": gettext_lazy("priority set to %(priority)s"),
    "published": gettext_lazy("published"),
    "recipe_begun": gettext_lazy("begun"),
    "recipe_done": gettext_lazy("came to its end"),
    "recipe_failed": gettext_lazy("could not go on"),
    "registered": gettext_lazy("registered"),
    "remarked": gettext_lazy("remark changed"),
    "renamed": gettext_lazy("renamed"),
    "accounts.project:renamed": gettext_lazy("renamed from %(from)s to %(to)s"),
    "accounts.project:deleted": gettext_lazy("deleted with everything in it"),
    "released": gettext_lazy("released by an operator"),
    "removed": gettext_lazy("nothing of it is left"),
    "rescored": gettext_lazy("scores computed again"),
    "restarted": gettext_lazy("started again"),
    "resumed": gettext_lazy("resumed"),
    "retried": gettext_lazy("tried again"),
    "retention_noticed": gettext_lazy("%(version)s goes in %(days)s days: nothing needs it"),
    "retention_reset": gettext_lazy("data is kept by the default rule"),
    "retention_set": gettext_lazy("the rule that says what data is kept was changed"),
    "review_begun": gettext_lazy("review of %(new)s begun"),
    "revoked": gettext_lazy("revoked"),
    "shared": gettext_lazy("shared with %(with)s"),
    "stopped": gettext_lazy("stop asked for"),
    "submitted": gettext_lazy("submitted"),
    "unloaded": gettext_lazy("unloaded, because nobody used it"),
    "unshared": gettext_lazy("no longer shared with %(with)s"),
    "version_added": gettext_lazy("version %(new)s added"),
    "version_deleted": gettext_lazy("a version was deleted"),
    "version_kept": gettext_lazy("%(version)s pinned"),
    "version_released": gettext_lazy("%(version)s no longer pinned"),
    "withdrawn": gettext_lazy("withdrawn"),
}
STATES: Mapping[str, Any] = {
    "waiting": gettext_lazy("waiting"),
    "queued": gettext_lazy("queued"),
    "placed": gettext_lazy("placed"),
    "starting": gettext_lazy("starting"),
    "loading": gettext_lazy("loading"),
    "running": gettext_lazy("running"),
    "ready": gettext_lazy("ready"),
    "pausing": gettext_lazy("pausing"),
    "paused": gettext_lazy("paused"),
    "stopping": gettext_lazy("stopping"),
    "stopped": gettext_lazy("stopped"),
    "finishing": gettext_lazy("finishing"),
    "succeeded": gettext_lazy("succeeded"),
    "failed": gettext_lazy("failed"),
    "cancelled": gettext_lazy("cancelled"),
    "ended": gettext_lazy("ended"),
    "lost": gettext_lazy("lost"),
    "broken": gettext_lazy("broken"),
    "checking": gettext_lazy("checking"),
    "mapping": gettext_lazy("columns to be named"),
    "cordoned": gettext_lazy("takes no new work"),
    "draining": gettext_lazy("draining"),
    "drained": gettext_lazy("drained"),
    "excluded": gettext_lazy("excluded"),
    "silence": gettext_lazy("silent"),
    "heat": gettext_lazy("a GPU is hot"),
    "disk": gettext_lazy("a disk is full"),
    "ecc": gettext_lazy("a GPU has memory errors"),
    "idle": gettext_lazy("a GPU is held and idle"),
    "clock": gettext_lazy("the clock is wrong"),
    "exclusion": gettext_lazy("a GPU was taken out"),
    "loss": gettext_lazy("a GPU is gone or broken"),
    **{role.name.lower(): role.label for role in Role},
}


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def event_sentence(event: Event) -> str:
    """What happened, in the reader's language: what was done, and the states it led from and to."""
    old, new = (str(STATES.get(word, word)) for word in (event.old, event.new))
    sentence = SENTENCES.get(f"{event.subject_type}:{event.verb}") or SENTENCES.get(event.verb)
    if sentence is not None:
        text = str(sentence) % _Facts({**event.data, "old": old, "new": new})
        return text if "%(" in str(sentence) else _with_states(text, event, old, new)
    if event.old and event.new:
        return _states(old, new)
    return event.verb.replace("_", " ") + (f": {new}" if new else "")


def _with_states(text: str, event: Event, old: str, new: str) -> str:
    known = event.old in STATES and event.new in STATES
    if not known:
        return text
    return _("%(text)s: %(states)s") % {"text": text, "states": _states(old, new)}


def _states(old: str, new: str) -> str:
    return _("%(old)s → %(new)s") % {"old": old, "new": new}
