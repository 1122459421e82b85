"""
Logging people in with Zoho.

`WebLogin` leads a person through the provider's page: in a web application, and for the command
line. `sign_in` makes a stored token of the code that comes back, or of a self client's.
"""

from tokenkeep.errors import NotThisLogin
from tokenkeep.login.sign_in import DEFAULT_SCOPES, sign_in, zoho_of
from tokenkeep.login.web import WebLogin

__all__ = ["DEFAULT_SCOPES", "NotThisLogin", "WebLogin", "sign_in", "zoho_of"]
