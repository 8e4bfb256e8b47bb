"""Simulated orders: features and outcomes as in real data, with dates that hang together.

The joint distribution of the model features and the outcome is calibrated against the public
Kaggle "Customer Analytics" e-commerce shipping data. Dates, carriers, statuses and payments
are invented, but consistent with each other and with the outcome.
"""

from fulfillment_assets.orders.simulator.faults import FAULTS, LINE_FAULTS, Fault
from fulfillment_assets.orders.simulator.files import SimulationReport, write_csv
from fulfillment_assets.orders.simulator.orders import SimulatedChunk, simulate, training_frame
from fulfillment_assets.orders.simulator.plan import SimulationPlan

__all__ = [
    "FAULTS",
    "LINE_FAULTS",
    "Fault",
    "SimulatedChunk",
    "SimulationPlan",
    "SimulationReport",
    "simulate",
    "training_frame",
    "write_csv",
]
