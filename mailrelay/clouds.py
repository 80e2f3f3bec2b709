"""Microsoft's clouds: where each issues tokens and where its Graph is.

https://learn.microsoft.com/graph/deployments; tokens of one cloud are worth nothing in another.
"""

from typing import NamedTuple

from mailrelay.vocabulary import Cloud


class Endpoints(NamedTuple):
    """Two https origins, without a trailing slash."""

    authority_host: str
    graph_endpoint: str


ENDPOINTS = {
    Cloud.GLOBAL: Endpoints("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    Cloud.US_GOVERNMENT: Endpoints("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    Cloud.US_DEFENSE: Endpoints("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    Cloud.CHINA: Endpoints(
        "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"
    ),
}
