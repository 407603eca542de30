"""The endpoints as web3 wants them. `contracts.chain` imports this once a chain is reached: web3
takes half a second of CPU to load, which commands that ask no chain need not wait for.
"""

from typing import Any, cast

from web3 import AsyncWeb3
from web3.eth import AsyncEth
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from contracts.endpoints import Endpoints


class _Provider(AsyncJSONBaseProvider):
    def __init__(self, endpoints: Endpoints) -> None:
        super().__init__()
        self._endpoints = endpoints

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The first endpoint's answer that is one."""
        body = self.encode_rpc_request(method, params)
        return cast(RPCResponse, await self._endpoints.request(method, body))


def open_eth(endpoints: Endpoints) -> AsyncEth:
    """The methods of a chain behind endpoints, those with a proof of authority included."""
    web3: AsyncWeb3[Any] = AsyncWeb3(_Provider(endpoints))
    web3.middleware_onion.inject(cast(Any, ExtraDataToPOAMiddleware), layer=0)
    return web3.eth
