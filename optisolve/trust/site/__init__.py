"""The leaderboard's site: one folder of static pages, made from records; the same records give the same bytes."""

from optisolve.trust.site.build import build_site
from optisolve.trust.site.pages import Site
from optisolve.trust.site.write import write_site

__all__ = ["Site", "build_site", "write_site"]
