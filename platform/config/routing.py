"""Every socket of the site."""

import accounts.routing
import inference.routing
import jobs.routing
import nodes.routing

websocket_urlpatterns = [
    *accounts.routing.websocket_urlpatterns,
    *jobs.routing.websocket_urlpatterns,
    *inference.routing.websocket_urlpatterns,
    *nodes.routing.websocket_urlpatterns,
]
