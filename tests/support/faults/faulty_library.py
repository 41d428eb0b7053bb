"""A library that goes wrong while it is imported."""

import faults

faults.act_at("import")
