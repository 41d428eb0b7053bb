"""Runs while Python starts, before anything of the worker does."""

import faults

faults.act_at("start")
