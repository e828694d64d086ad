"""What the templates' filters say."""

from datetime import timedelta

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from django.utils.translation import override

from config.templatetags import trainer


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (812, "812 B"),
        (1024, "1 KB"),
        (1023.6, "1 KB"),
        (8.1 * 2**30, "8.1 GB"),
        (64 * 2**20, "64 MB"),
        (2**50, "1024 TB"),
    ],
)
def test_sizes_are_two_figures(size, text):
    assert trainer.bytes_short(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.4, "0.4 s"),
        (42, "42 s"),
        (21 * 60, "21 min"),
        (3 * 3600 + 600, "3 h 10 min"),
        (7200, "2 h"),
        (timedelta(days=2, hours=4), "2 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_durations_have_at_most_two_units(seconds, text):
    assert trainer.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"),
        ("", "–"),
        (0.742, "0.742"),
        (4.1e-5, "4.1e-5"),
        (1e-4, "1e-4"),
        (41.23, "41.2"),
        (11820.4, "11,820"),
        (300, "300"),
        (0, "0"),
        ("n/a", "n/a"),
        (float("nan"), "nan"),
    ],
)
def test_metrics_show_the_digits_that_matter(number, text):
    assert trainer.metric(number) == text


@pytest.mark.parametrize(
    ("number", "english", "chinese"),
    [
        (12480, "12,480", "12,480"),
        (3_912_345, "3.9 M", "391 万"),
        (4e9, "4 B", "40 亿"),
        (None, "–", "–"),
    ],
)
def test_counts_follow_the_language(number, english, chinese):
    with override("en"):
        assert trainer.number_short(number) == english
    with override("zh-hans"):
        assert trainer.number_short(number) == chinese


def test_a_relative_time_carries_the_moment_itself():
    moment = timezone.now() - timedelta(minutes=5)
    shown = trainer.ago(moment)
    assert "5 min ago" in shown
    assert f'datetime="{moment.isoformat()}"' in shown
    assert "title=" in shown
    assert trainer.ago(None) == "–"
    assert "yesterday" in trainer.ago(timezone.now() - timedelta(hours=30))


def test_the_query_keeps_what_it_does_not_change():
    request = RequestFactory().get("/", {"q": "a&b", "page": "3", "state": "ready"})
    page = Template("{% query page=4 state=None %}").render(Context({"request": request}))
    assert page == "?q=a%26b&amp;page=4"


class Form(forms.Form):
    rank = forms.IntegerField(min_value=1, help_text="Common values are 8 to 64.")
    method = forms.ChoiceField(choices=[("lora", "LoRA")])
    pack = forms.BooleanField(required=False)


def test_a_field_ties_its_error_and_help_to_the_control():
    form = Form({"rank": "0", "method": "lora"})
    assert not form.is_valid()
    control = trainer.styled(form["rank"])
    assert 'aria-describedby="id_rank_error id_rank_helptext"' in control
    assert "is-invalid" in control
    assert "form-select" in trainer.styled(form["method"])
    assert "form-check-input" in trainer.styled(form["pack"])


def test_an_icon_is_hidden_from_screen_readers():
    assert 'aria-hidden="true"' in Template('{% lucide "upload" %}').render(Context())
