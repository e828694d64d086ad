"""Every socket of the site."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter

import accounts.routing
import inference.routing
import jobs.routing
import nodes.routing
from accounts.sockets import LanguageMiddleware

websocket_urlpatterns = [
    *accounts.routing.websocket_urlpatterns,
    *jobs.routing.websocket_urlpatterns,
    *inference.routing.websocket_urlpatterns,
    *nodes.routing.websocket_urlpatterns,
]
sockets = AuthMiddlewareStack(LanguageMiddleware(URLRouter(websocket_urlpatterns)))
