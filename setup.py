"""Packaging. Versions are bounded here; `requirements.lock` pins what was tested."""

from pathlib import Path

from setuptools import find_packages, setup

# What a training process on a pod imports, and nothing else.
CORE = [
    "absl-py>=2.1,<3",
    "jax>=0.10,<0.11",
    "flax>=0.12.8,<0.13",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12,<0.13",
    "ml-collections>=1.1,<2",
    "grain>=0.2.18,<0.3",
    # Paths and object stores (codepretrain/files). etils' backends are private: tests guard them.
    "etils[epath,epy]>=1.15,<1.16",
    "fsspec>=2026.9,<2027",
    "numpy>=2.1",
    "jinja2>=3.1",
    "markupsafe>=3.0",
    "matplotlib>=3.9",
    "scipy>=1.14",
    "statsmodels>=0.14.5",
    "rich>=14.1",
    "safetensors>=0.7,<0.9",
    "tensorboardX>=2.6.2",
]

EXTRAS = {
    # Preparing data: tasks and mixtures, tokenizers. Never imported while training.
    "data": [
        "array-record>=0.8.3,<0.9",
        # Asking a teacher for synthetic code.
        "httpx2>=2.16,<3",
        "seqio>=0.0.20,<0.1",
        # Of seqio. 0.2.3 is generated for protobuf 7; Beam 2.77 needs protobuf 6.
        "sentencepiece>=0.2,<0.2.2",
        "pyarrow>=22,<27",
        "tensorflow>=2.21,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "tokenizers>=0.22,<0.24",
        "zstandard>=0.25,<0.26",
    ],
    # Preparing data on several machines: Dataflow, Flink, Spark.
    "beam": ["apache-beam>=2.77,<2.78"],
    # Object stores: working directories and models on gs://; models also on s3://.
    "gcs": ["gcsfs>=2026.9,<2027"],
    "s3": ["s3fs>=2026.9,<2027"],
    # Object stores emulated on loopback, for tests.
    "storage-test": [
        "gcsfs>=2026.9,<2027",
        "s3fs>=2026.9,<2027",
        "gcp-storage-emulator>=2026.7",
        "moto[server]>=5.2,<6",
    ],
    # Benchmark tasks (codepretrain/evals/harness), and asking a judge (httpx2).
    "eval": [
        "lm-eval>=0.4.13,<0.5",
        "datasets>=5.2,<6",
        "httpx2>=2.16,<3",
        "huggingface-hub>=1.0,<3",
        "pyarrow>=22,<27",
        "tokenizers>=0.22,<0.24",
    ],
    # Serving a checkpoint to other tools (codepretrain serve).
    "serve": [
        "starlette>=1.10,<2",
        "tokenizers>=0.22,<0.24",
        "uvicorn>=0.54,<0.60",
    ],
    # Checks of the exported model against the reference implementation (make test-parity), and of
    # its evaluation against the harness's own backend, which needs accelerate (make
    # test-harness), and by its client of completions endpoints (make test-serve).
    "parity": [
        "torch>=2.13,<2.14",
        "transformers>=5.9,<6",
        "tokenizers>=0.22,<0.24",
        "accelerate>=1.15,<2",
        "lm-eval[api]>=0.4.13,<0.5",
    ],
    "tpu": ["jax[tpu]>=0.10,<0.11"],
    "cuda": ["jax[cuda13]>=0.10,<0.11"],
    "dev": [
        "pytest>=8.3",
        "pytest-xdist>=3.6",
        "ruff>=0.14",
        "mypy>=1.18",
        "pre-commit>=4",
        # The schemas of Kubernetes, for the manifests of `codepretrain launch`.
        "kubernetes-validate>=1.33,<2",
        "jsonschema>=4.20,<5",
    ],
}

setup(
    name="codepretrain",
    version="0.1.0",
    description="Pre-training studies of text and code in JAX, from raw documents to error bars",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The codepretrain authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["pre-training", "language models", "JAX", "TPU", "data mixtures", "code"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["codepretrain", "codepretrain.*"]),
    package_data={
        "codepretrain": ["py.typed"],
        "codepretrain.launch": ["*.html"],
        "codepretrain.report": ["*.html", "published.json"],
        "codepretrain.evals.harness.tasks": ["*.yaml"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["codepretrain=codepretrain.__main__:run"]},
)
