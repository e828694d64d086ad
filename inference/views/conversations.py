"""The playground: conversations with deployed models."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Project, Role, User
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of, text_of
from inference import services
from inference.chat import answer_now
from inference.forms import QuestionForm, SettingsForm, TitleForm
from inference.models import Conversation, Deployment, Message
from inference.services import NotReady
from inference.services.conversations import abandoned_settle

LIST_ROWS = 100


@login_required
@require_GET
def playground(request: HttpRequest) -> HttpResponse:
    """The newest conversation, or how to begin one."""
    user, project = actor(request), project_of(request)
    wanted = request.GET.get("deployment", "")
    newest = Conversation.objects.visible_to(user).filter(project=project).first()
    if newest is not None and not wanted:
        return redirect("inference:conversation_detail", newest.pk)
    return render(
        request,
        "inference/playground.html",
        {
            "nav": "playground",
            "conversation": None,
            "wanted": wanted,
            "deployments": _deployments(user, project, None),
            "may_deploy": project.role_of(user) >= Role.DEVELOPER,
        },
    )


@login_required
@require_GET
def conversation_list(request: HttpRequest) -> HttpResponse:
    """The list beside a conversation, searched by name and words."""
    user, project = actor(request), project_of(request)
    words = text_of(request.GET, "q")
    return render(
        request,
        "inference/_conversation_list.html",
        {
            "conversations": _found(user, project, words),
            "current": request.GET.get("current", ""),
            "q": words,
        },
    )


@login_required
@require_POST
def conversation_create(request: HttpRequest) -> HttpResponse:
    """A new conversation; an empty one with the same model is used again."""
    user, project = actor(request), project_of(request)
    deployment = _chosen(request, user, project)
    empty = Conversation.objects.visible_to(user).filter(
        project=project, deployment=deployment, messages=None, title=""
    )
    conversation = empty.first() or services.conversation_create(
        project=deployment.project if deployment else project,
        created_by=user,
        deployment=deployment,
    )
    return redirect("inference:conversation_detail", conversation.pk)


@login_required
@require_GET
@vary_on_headers("HX-Request")
def conversation_detail(request: HtmxRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A conversation, or its messages alone."""
    user = actor(request)
    conversation = _own(user, conversation_id)
    abandoned_settle(conversation)
    context = _page(request, user, conversation)
    part = request.GET.get("part", "") if wants_fragment(request.htmx) else ""
    names = {"state": "_conversation_state", "messages": "_messages"}
    return render(request, f"inference/{names.get(part, 'playground')}.html", context)


@login_required
@require_POST
def conversation_settings(request: HtmxRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Saves model, system prompt and sampling with the conversation."""
    user = actor(request)
    conversation = _own(user, conversation_id)
    form = SettingsForm(request.POST, user=user)
    if form.is_valid():
        try:
            conversation = services.conversation_update(
                conversation.pk,
                by=user,
                deployment=form.cleaned_data["deployment"],
                system_prompt=form.cleaned_data["system_prompt"],
                sampling=form.sampling,
            )
        except DomainError as refused:
            add_refusal(form, refused)
    if form.is_valid() and not wants_fragment(request.htmx):
        return redirect("inference:conversation_detail", conversation.pk)
    context = _page(request, user, conversation) | {"form": form, "saved": form.is_valid()}
    fragment = wants_fragment(request.htmx)
    name = "inference/_settings.html" if fragment else "inference/playground.html"
    return render(request, name, context, status=200 if form.is_valid() else 422)


@login_required
@require_POST
def conversation_rename(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Gives the conversation another name."""
    user = actor(request)
    conversation = _own(user, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        services.conversation_update(conversation.pk, by=user, **form.cleaned_data)
    else:
        messages.error(request, " ".join(map(str, form["title"].errors)))
    return redirect("inference:conversation_detail", conversation.pk)


@login_required
@require_POST
def conversation_delete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Deletes a conversation with its messages."""
    user = actor(request)
    conversation = _own(user, conversation_id)
    services.conversation_delete(conversation.pk, by=user)
    messages.success(request, _("The conversation was deleted."))
    return redirect("inference:playground")


@login_required
@require_POST
def conversation_ask(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Asks and waits for the whole answer: the way without scripts."""
    user = actor(request)
    conversation = _own(user, conversation_id)
    form = QuestionForm(request.POST)
    if form.is_valid():
        try:
            turn = services.turn_begin(conversation.pk, by=user, text=form.cleaned_data["text"])
        except DomainError as refused:
            form.add_error("text", refused.message)
            again = isinstance(refused, NotReady) and refused.code in Deployment.FINAL
        else:
            answer_now(turn)
            return redirect("inference:conversation_detail", conversation.pk)
    else:
        again = False
    context = _page(request, user, conversation) | {"question": form, "deploy_again": again}
    return render(request, "inference/playground.html", context, status=422)


def _own(user: User, conversation_id: uuid.UUID) -> Conversation:
    rows = Conversation.objects.visible_to(user).select_related("deployment__version", "project")
    return get_object_or_404(rows, pk=conversation_id)


def _page(request: HttpRequest, user: User, conversation: Conversation) -> dict[str, Any]:
    """What the page of a conversation needs."""
    initial = {
        "deployment": conversation.deployment_id,
        "system_prompt": conversation.system_prompt,
        **conversation.sampling,
    }
    rows = list(conversation.messages.all())
    last = {row.role: row.pk for row in rows}
    return {
        "nav": "playground",
        "conversation": conversation,
        "conversations": _found(user, conversation.project, ""),
        "current": str(conversation.pk),
        "chat": rows,
        "last_question": last.get(Message.Role.USER),
        "last_answer": last.get(Message.Role.ASSISTANT),
        "deployment": conversation.deployment,
        "deployments": _deployments(user, conversation.project, conversation.deployment),
        "may_deploy": conversation.project.role_of(user) >= Role.DEVELOPER,
        "form": SettingsForm(initial=initial, user=user),
        "address": request.build_absolute_uri("/v1"),
    }


def _found(user: User, project: Project, words: str) -> QuerySet[Conversation]:
    """The user's conversations of the project whose name or messages have the words."""
    rows = Conversation.objects.visible_to(user).filter(project=project)
    if words:
        said = Message.objects.filter(content__icontains=words).values("conversation_id")
        rows = rows.filter(title__icontains=words) | rows.filter(pk__in=said)
    return rows.select_related("deployment")[:LIST_ROWS]


def _deployments(user: User, project: Project, current: Deployment | None) -> list[Deployment]:
    """Models to choose from: those in service first, then the newest ended one of each version."""
    rows = (
        Deployment.objects.editable_by(user)
        .filter(project=project)
        .select_related("version__model")
    )
    found = sorted(rows.active(), key=lambda row: row.state != Deployment.State.READY)
    versions = {row.version_id for row in found}
    for row in rows.filter(state__in=Deployment.FINAL)[:50]:
        if row.version_id not in versions:
            versions.add(row.version_id)
            found.append(row)
    if current is not None and current not in found:
        found.append(current)
    return found


def _chosen(request: HttpRequest, user: User, project: Project) -> Deployment | None:
    """The deployment of the form, else the best of the project: ready, then the user's own."""
    wanted = request.POST.get("deployment", "")
    if wanted:
        return get_object_or_404(Deployment.objects.editable_by(user), pk=id_of(wanted))
    found = _deployments(user, project, None)
    return found[0] if found else None
