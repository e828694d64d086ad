"""What import-linter cannot see: relations named by strings."""

from django.apps import apps

RANKS = {"accounts": 0, "nodes": 1, "datasets": 1, "registry": 1, "jobs": 2, "inference": 2}


def test_relations_point_downward_or_stay_in_the_app() -> None:
    wrong = []
    for model in apps.get_models():
        if model._meta.app_label not in RANKS:
            continue
        for field in model._meta.get_fields():
            if not field.is_relation or field.auto_created or field.related_model is None:
                continue
            here, there = model._meta.app_label, field.related_model._meta.app_label
            if there in RANKS and here != there and RANKS[there] >= RANKS[here]:
                wrong.append(f"{model.__name__}.{field.name} -> {there}")
    assert wrong == []


def test_every_model_of_ours_says_who_may_see_it_or_belongs_to_one_that_does() -> None:
    parts = {
        "Membership": "Project",
        "Gpu": "Node",
        "Lease": "Workload",
        "NodeSample": "Node",
        "HardwareError": "Node",
        "AlertDelivery": "Alert",
        "JobDataset": "Job",
        "Attempt": "Job",
        "Checkpoint": "Job",
        "Metric": "Job",
        "Replica": "Deployment",
        "Message": "Conversation",
        "User": "Project",
        "PlanRequest": "Node",
        "RowDecision": "Revision",
        "PublicSource": "Dataset",
        "TokenCount": "DatasetVersion",
    }
    silent = [
        model.__name__
        for model in apps.get_models()
        if model._meta.app_label in RANKS
        and not model._meta.auto_created
        and not hasattr(model.objects.all(), "visible_to")
        and model.__name__ not in parts
    ]
    assert silent == []
