"""Events in people's words."""

import pytest
from django.utils.translation import override

from accounts import services
from accounts.models import Event, Role
from accounts.texts import event_sentence


def said(event: Event) -> str:
    return event_sentence(event)


def test_people_who_come_and_go_are_named_with_their_role(people) -> None:
    services.member_set(people.team.pk, people.stranger.pk, role=Role.VIEWER, by=people.owner)
    services.member_set(people.team.pk, people.stranger.pk, role=Role.DEVELOPER, by=people.owner)
    services.member_remove(people.team.pk, people.stranger.pk, by=people.owner)
    services.project_rename(people.team.pk, name="Lab", by=people.owner)
    assert [said(event) for event in Event.objects.of(people.team)] == [
        "stranger came in as viewer",
        "stranger: from viewer to developer",
        "stranger was removed",
        "renamed from team to Lab",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"verb": "state", "old": "queued", "new": "running"}, "queued → running"),
        ({"verb": "cancelled", "old": "running", "new": "stopping"}, None),
        ({"verb": "priority", "data": {"priority": 80}}, "priority set to 80"),
        ({"verb": "member_added"}, " came in as "),
        ({"verb": "made_up_word", "new": "v3"}, "made up word: v3"),
    ],
)
def test_any_verb_becomes_words(people, fields, words) -> None:
    event = services.event_record(people.team, project=people.team, actor=None, **fields)
    assert said(event) == (words or "cancelled: running → stopping")


def test_chinese_words_have_a_chinese_colon(people) -> None:
    event = services.event_record(
        people.team,
        project=people.team,
        actor=None,
        verb="cancelled",
        old="running",
        new="stopping",
    )
    with override("zh-hans"):
        assert "：" in said(event)
        assert ":" not in said(event)
