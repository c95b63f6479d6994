"""Bearer tokens: signed JSON Web Tokens (RFC 7519) of an identity provider, checked as RFC 8725 advises.

Which algorithms may have signed a token is a matter of the key and never of the token. A token counts for its
issuer, its audience and its time only, and whoever checks it asks nobody.
"""

import os
from collections.abc import Mapping
from typing import Any

from mlops_assets.errors import AccessError
from mlops_assets.serving.callers import EVERY_MODEL, RIGHTS, UNLIMITED, Caller, Limits
from mlops_assets.serving.json_web_keys import KeySource, WebKey, key_source

_LEEWAY_SECONDS = 30
_LONGEST_TOKEN = 8192
_LONGEST_NAME = 128
_REQUIRED = ("exp", "iss", "aud", "sub")


class NotAccepted(Exception):
    """A token that is not believed, in words for whoever sent it."""


class NoKeysYet(Exception):
    """No token can be checked, because the provider's keys were not to be had so far."""


class BearerTokens:
    """Tells whose a token is.

    Args:
        source: The provider's keys.
        issuer: Who must have made a token.
        audience: Whom it must be for.
        models_claim: Name of the claim that lists the models in scope.
        limits: Limits of whoever comes with a token.
    """

    def __init__(
        self,
        source: KeySource,
        issuer: str,
        audience: str,
        models_claim: str = "mlops_models",
        limits: Limits = UNLIMITED,
    ) -> None:
        self.source = source
        self._issuer, self._audience = issuer, audience
        self._models_claim, self._limits = models_claim, limits

    @classmethod
    def from_environment(cls, limits: Limits = UNLIMITED) -> "BearerTokens | None":
        """Return what ``MLOPS_JWKS`` and its like say, or None if no token counts.

        Raises:
            AccessError: They say too little, or the keys cannot be read.
        """
        where = os.environ.get("MLOPS_JWKS")
        if not where:
            return None
        issuer, audience = os.environ.get("MLOPS_JWT_ISSUER"), os.environ.get("MLOPS_JWT_AUDIENCE")
        if not issuer or not audience:
            raise AccessError(
                "MLOPS_JWKS needs MLOPS_JWT_ISSUER and MLOPS_JWT_AUDIENCE beside it: without them tokens "
                "that were made for other services would count here"
            )
        claim = os.environ.get("MLOPS_JWT_MODELS_CLAIM") or "mlops_models"
        return cls(key_source(where), issuer, audience, claim, limits)

    def caller(self, token: str) -> Caller:
        """Return whose token it is; to check one takes a hundred times what finding it again does.

        Raises:
            NotAccepted: It is not valid, not now or not here.
            NoKeysYet: It cannot be checked.
        """
        import jwt

        if len(token) > _LONGEST_TOKEN:
            raise NotAccepted("the token is too long")
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=key.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": [*_REQUIRED]},
            )
        except jwt.ExpiredSignatureError:
            raise NotAccepted("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise NotAccepted("the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise NotAccepted("the token is of another issuer") from None
        except jwt.MissingRequiredClaimError as error:
            raise NotAccepted(f"the token lacks the claim {error.claim!r}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise NotAccepted("the token is not valid") from None
        return self._caller(claims)

    def _key(self, name: Any) -> WebKey:
        keys = self.source.keys
        if keys is None:
            raise NoKeysYet
        if name is None and len(keys) == 1:
            return next(iter(keys.values()))
        key = keys.get(name) if isinstance(name, str) else None
        if key is None:
            self.source.miss()
            raise NotAccepted("the token is signed with a key that is not known here")
        return key

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        name, models = claims["sub"], claims.get(self._models_claim, [])
        if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
            raise NotAccepted("the claim 'sub' of the token is no name")
        models = [EVERY_MODEL] if models == EVERY_MODEL else models
        if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
            raise NotAccepted(f"the claim {self._models_claim!r} of the token must be a list of models")
        until = int(claims["exp"]) + _LEEWAY_SECONDS
        # Marked, so that no token can pass for a caller who has a key.
        return Caller(f"jwt:{name}", frozenset(models), frozenset(RIGHTS), self._limits, until)
