"""Django settings. What an installation changes comes from TRAINER_* environment variables."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF
from django.utils.translation import gettext_lazy as _

from config import env
from config.database import database
from config.storage import files

BASE_DIR = Path(__file__).resolve().parents[2]
# Everything the platform writes lies under one directory, so that one backup holds all of it.
TRAINER_HOME = Path(env.text("TRAINER_HOME", "") or BASE_DIR / "var").resolve()
TRAINER_HOME.mkdir(parents=True, exist_ok=True)
# Which part of the platform this process is: `web`, or nothing in particular.
PROCESS = env.text("TRAINER_PROCESS", "")

DEBUG = env.flag("TRAINER_DEBUG", default=False)
SECRET_KEY = env.secret("TRAINER_SECRET_KEY", "") or env.secret_kept(TRAINER_HOME / "secret_key")
ALLOWED_HOSTS = env.items("TRAINER_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.items("TRAINER_TRUSTED_ORIGINS")
REDIS_URL = env.text("TRAINER_REDIS_URL", "")
BEHIND_PROXY = env.flag("TRAINER_BEHIND_TLS_PROXY", default=False)
# Limits count by address: without a proxy of ours X-Forwarded-For says whatever a visitor likes.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_PROXY else 0
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    # It makes `manage.py runserver` speak ASGI; every other process saves what it loads.
    *(["daphne"] if "runserver" in sys.argv else []),
    "config",
    "accounts",
    "nodes",
    "datasets",
    "registry",
    "jobs",
    "inference",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "channels",
    "csp",
    "django_cotton",
    "django.forms",
    "django_filters",
    "django_htmx",
    "django_q",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "lucide",
    "rest_framework",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "csp.context_processors.nonce",
                "config.context_processors.shell",
            ],
            "builtins": ["lucide.templatetags.lucide", "config.templatetags.trainer"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

DATABASE_URL = env.secret("TRAINER_DATABASE_URL", f"sqlite:///{TRAINER_HOME}/db.sqlite3")
DATABASES = {"default": database(DATABASE_URL, process=PROCESS)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "common.cache.ForgetfulRedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    # What workers say of themselves every second; nobody reads it, nodes have their heartbeat.
    "unwatched": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 3}]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# `name` salts the messages and is the control plane's own queue; a node's worker gets its queue by
# Q_CLUSTER_NAME. ALT_CLUSTERS must exist then. Tasks are short steps, never a container's lifetime.
Q_CLUSTER = {
    "name": "web",
    "ALT_CLUSTERS": {},
    "workers": 1,
    "recycle": 200,
    "timeout": 120,
    "retry": 600,
    "max_attempts": 3,
    "ack_failures": True,
    "queue_limit": 1,
    "bulk": 1,
    "broker_class": "common.broker.Broker",
    "poll": 0,  # the broker waits itself
    "guard_cycle": 1,
    "catch_up": False,
    "save_limit": -1,  # only failures are kept: to count the others, each would lock them all
    "cache": "unwatched",
    "label": "Queue",
    "orm": "default",
}

# accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_FORMS = {"login": "accounts.forms.LoginForm", "signup": "accounts.forms.SignupForm"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no mail to strangers whose address somebody typed
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
ACCOUNT_LOGOUT_ON_GET = False
EMAIL_BACKEND = env.text("TRAINER_EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env.text("TRAINER_EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("TRAINER_EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("TRAINER_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.secret("TRAINER_EMAIL_PASSWORD", "")
EMAIL_USE_TLS = env.flag("TRAINER_EMAIL_TLS", default=False)
EMAIL_TIMEOUT = 10  # seconds that somebody waits for the page
DEFAULT_FROM_EMAIL = env.text("TRAINER_EMAIL_FROM", "trainer@localhost")

# API
REST_FRAMEWORK = {
    # The key comes first: after a session a bad key would answer 403 instead of 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "common.nesting.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.IsAuthenticatedWithScope"],
    "DEFAULT_FILTER_BACKENDS": ["common.filters.FilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "common.api.Pages",
    "DEFAULT_SCHEMA_CLASS": "common.schema.Schema",
    "EXCEPTION_HANDLER": "common.api.exception_handler",
    "NUM_PROXIES": ALLAUTH_TRUSTED_PROXY_COUNT,
    "DEFAULT_THROTTLE_RATES": {"login": "10/min", "register": "20/hour", "node_join": "10/min"},
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {
    "TOKEN_MODEL": "accounts.ApiKey",
    "TOKEN_PREFIX": "lct_",
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": None,
}
KNOX_TOKEN_MODEL = "accounts.ApiKey"  # noqa: S105  the name of a model
SPECTACULAR_SETTINGS = {
    "TITLE": "LLM Cloud Trainer",
    "DESCRIPTION": "Everything the pages do: data, training, evaluation, export, deployment.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AlertChannelKind": "nodes.models.AlertChannel.Kind",
        "AlertDeliveryState": "nodes.models.AlertDelivery.State",
        "AlertKind": "nodes.models.AlertRule.Kind",
        "AlertState": "nodes.models.Alert.State",
        "ComparisonState": "datasets.models.Comparison.State",
        "DatasetImportKind": "datasets.models.Import.Kind",
        "DatasetImportState": "datasets.models.Import.State",
        "DatasetVersionState": "datasets.models.DatasetVersion.State",
        "DeploymentState": "inference.models.Deployment.State",
        "ImageState": "nodes.models.Image.State",
        "InvitationState": "accounts.models.Invitation.State",
        "JobState": "jobs.models.Job.State",
        "JobKind": "jobs.models.Job.Kind",
        "MessageRole": "inference.models.Message.Role",
        "MessageState": "inference.models.Message.State",
        "NodeState": "nodes.models.Node.State",
        "RecipeRunState": "datasets.models.RecipeRun.State",
        "RevisionState": "datasets.models.Revision.State",
        "ProjectRole": "accounts.serializers.ROLE_WORDS",
        "VersionKind": "registry.models.ModelVersion.Kind",
        "WorkloadState": "nodes.models.Workload.State",
    },
}

# language and time
LANGUAGE_CODE = env.text("TRAINER_LANGUAGE", "en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = env.text("TRAINER_TIME_ZONE", "UTC")
USE_TZ = True

# files
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static" / "collected"  # made from the code alone, so it lies beside it
STATICFILES_DIRS = [BASE_DIR / "static" / "dist"]
S3_BUCKET = env.text("TRAINER_S3_BUCKET", "")
S3_PREFIX = env.text("TRAINER_S3_PREFIX", "").strip("/")
_S3_ENDPOINT = env.text("TRAINER_S3_ENDPOINT", "")
_S3_PUBLIC_ENDPOINT = env.text("TRAINER_S3_PUBLIC_ENDPOINT", _S3_ENDPOINT)
STORAGES: dict[str, dict[str, Any]] = {
    "default": files(_S3_ENDPOINT, bucket=S3_BUCKET, prefix=S3_PREFIX),
    # The same under the address that browsers know.
    "public": files(_S3_PUBLIC_ENDPOINT, bucket=S3_BUCKET, prefix=S3_PREFIX),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_MANIFEST_STRICT = False
MEDIA_ROOT = TRAINER_HOME / "data"
FILE_UPLOAD_TEMP_DIR = TRAINER_HOME / "temp"
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "common.receiving.UploadHandler",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2500  # a script may name 2,000 uploads, each in a field of its own
for _directory in (
    "data",
    "output",
    "logs",
    "checkpoints",
    "hf-cache",
    "temp",
    "models",
    "engines",
):
    (TRAINER_HOME / _directory).mkdir(exist_ok=True)

# the platform's own settings
NODE_NAME = env.text("TRAINER_NODE", "local")
NODE_RUNNER = env.text("TRAINER_RUNNER", "process")
# The network of containers that fetch from a hub, when not the node's own; all others have none.
CONTAINER_NETWORK = env.text("TRAINER_CONTAINER_NETWORK", "")
# On a node: what a container may hold of the memory that goes with its GPUs or CPUs; 0: no matter.
WORKLOAD_MEMORY_PERCENT = env.integer("TRAINER_WORKLOAD_MEMORY_PERCENT", 200, least=0)
# On a node: where the control plane is, and the key that the node shows there.
CONTROL_URL = env.text("TRAINER_CONTROL_URL", "").rstrip("/")
NODE_KEY = env.secret("TRAINER_NODE_KEY", "")
# On a node: where its agent takes requests for services, HOST:PORT, and how it is reached there.
AGENT_LISTEN = env.text("TRAINER_AGENT_LISTEN", "")
AGENT_URL = env.text("TRAINER_AGENT_URL", "").rstrip("/")
AGENT_CERTIFICATE = env.text("TRAINER_AGENT_CERTIFICATE", "")
AGENT_CERTIFICATE_KEY = env.text("TRAINER_AGENT_CERTIFICATE_KEY", "")
AGENT_CA = env.text("TRAINER_AGENT_CA", "")  # on the control plane: who signed it
# How long a node may be silent until its work is given up and begun elsewhere; the same everywhere.
NODE_LOST_SECONDS = env.integer("TRAINER_NODE_LOST_SECONDS", 300, least=75)
NODE_CACHE_BYTES = env.integer("TRAINER_NODE_CACHE_BYTES", 200 * 2**30)
# On a node: with less free on its disks it starts nothing.
NODE_RESERVE_BYTES = env.integer("TRAINER_NODE_RESERVE_BYTES", 512 * 2**20, least=0)
# What a machine gets when it joins: secrets among it, so it is handed on sealed and never shown.
# Database and Redis as other machines reach them, where that differs from here. Not the keys of the
# S3-compatible storage: nodes get links into it.
NODE_ENVIRONMENT = {
    "TRAINER_DATABASE_URL": env.secret("TRAINER_NODE_DATABASE_URL", DATABASE_URL),
    "TRAINER_REDIS_URL": env.secret("TRAINER_NODE_REDIS_URL", REDIS_URL),
    "TRAINER_SECRET_KEY": SECRET_KEY,
    "TRAINER_LANGUAGE": LANGUAGE_CODE,
    "TRAINER_TIME_ZONE": TIME_ZONE,
    "TRAINER_NODE_LOST_SECONDS": str(NODE_LOST_SECONDS),
    "TRAINER_HUB_ONLINE": str(env.flag("TRAINER_HUB_ONLINE", default=False)).lower(),
    "TRAINER_HF_ENDPOINT": env.text("TRAINER_HF_ENDPOINT", ""),
}
NODE_DATABASE_HOST = urlsplit(NODE_ENVIRONMENT["TRAINER_DATABASE_URL"]).hostname or ""
ENGINES_DIR = Path(env.text("TRAINER_ENGINES_DIR", str(TRAINER_HOME / "engines"))).resolve()
UPLOAD_MAX_BYTES = env.integer("TRAINER_UPLOAD_MAX_BYTES", 32 * 2**30)
UPLOAD_LINE_MAX_BYTES = env.integer("TRAINER_UPLOAD_LINE_MAX_BYTES", 16 * 2**20)
# What projects without a rule of their own keep; None keeps everything.
RETENTION_KEEP_NEWEST = env.integer("TRAINER_RETENTION_KEEP_NEWEST", 0, least=0) or None
RETENTION_UNUSED_DAYS = env.integer("TRAINER_RETENTION_UNUSED_DAYS", 0, least=0) or None
# How long an unfinished upload may stand still.
UPLOAD_KEEP_SECONDS = env.integer("TRAINER_UPLOAD_KEEP_SECONDS", 2 * 24 * 3600, least=60)
# What the process may use that reads a foreign file: address space, and processor time at most.
PARSER_MEMORY_BYTES = env.integer("TRAINER_PARSER_MEMORY_BYTES", 2 * 2**30, least=2**29)
PARSER_SECONDS = env.integer("TRAINER_PARSER_SECONDS", 3600, least=1)
DEPLOYMENT_IDLE_SECONDS = env.integer("TRAINER_DEPLOYMENT_IDLE_SECONDS", 300)
JOB_WALL_SECONDS = env.integer("TRAINER_JOB_WALL_SECONDS", 7 * 24 * 3600)
# A model of static embeddings that recipes tell likeness by; none: by stretches in common.
EMBEDDING_MODEL_DIR = env.text("TRAINER_EMBEDDING_MODEL_DIR", "")
HUB_ONLINE = env.flag("TRAINER_HUB_ONLINE", default=False)
# Where data is imported from: the hubs or mirrors of them, hosts in the private network that stores
# of objects may have, and directories whose files people may register.
HF_ENDPOINT = env.text("TRAINER_HF_ENDPOINT", "https://huggingface.co").rstrip("/")
MODELSCOPE_ENDPOINT = env.text("TRAINER_MODELSCOPE_ENDPOINT", "https://www.modelscope.cn").rstrip(
    "/"
)
IMPORT_HOSTS = env.items("TRAINER_IMPORT_HOSTS")
SHARED_DIRECTORIES = env.items("TRAINER_SHARED_DIRECTORIES")

# security
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, "'unsafe-inline'"],  # xterm and uPlot set styles
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [SELF],
        "object-src": [NONE],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("TRAINER_LOG_LEVEL", "INFO")},
    "loggers": {
        "django_q": {"level": "WARNING", "propagate": True},
        "django-q": {"level": "WARNING"},
    },
}

PRODUCT = _("LLM Cloud Trainer")
