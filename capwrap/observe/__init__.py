"""What a run was seen to do: event records, refusals and what would allow them, the published NDJSON record."""

from __future__ import annotations
