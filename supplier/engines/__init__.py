"""Engines a supplier can stand in front of, and the digest that names what one serves."""

from supplier.engines.spec import (
    EngineSpec,
    ModelFiles,
    ServiceSpec,
    compute_service_spec,
    encode_service_spec,
    hash_service_spec,
    read_model_files,
    read_special_tokens,
    read_task,
)

__all__ = [
    "EngineSpec",
    "ModelFiles",
    "ServiceSpec",
    "compute_service_spec",
    "encode_service_spec",
    "hash_service_spec",
    "read_model_files",
    "read_special_tokens",
    "read_task",
]
