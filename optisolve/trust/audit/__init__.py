"""Audit of records by independent code: nothing that a record says about itself is believed.

Keys, types and finite numbers are the business of `optisolve.run.schema`, which reads the record; the rest is here.

| part | what it derives again |
|---|---|
| `points` | instance from parameters and seed, points by the numpy twin, scores |
| `references` | the reference behind the gaps |
| `solver`, `transcript` | version, options, prompts, every request and reply |
| `usage` | budget, trace, sources, termination |
| `suites` | membership in a locked suite |
| `beside` | tables beside the record |
| `auditor` | the whole, and the tier that was shown |
| `many`, `child` | many records, in processes with limits of time and memory |
"""

from optisolve.run.rebuild import rebuild
from optisolve.run.schema import Tier
from optisolve.trust.audit.auditor import Auditor, audit_record, verify
from optisolve.trust.audit.findings import Audit
from optisolve.trust.audit.many import AUDIT_LIMITS, AuditLimits, audit_files, audits
from optisolve.trust.audit.references import ReferenceMaker
from optisolve.trust.audit.suites import SuiteBook

__all__ = [
    "AUDIT_LIMITS",
    "Audit",
    "AuditLimits",
    "Auditor",
    "ReferenceMaker",
    "SuiteBook",
    "Tier",
    "audit_files",
    "audit_record",
    "audits",
    "rebuild",
    "verify",
]
