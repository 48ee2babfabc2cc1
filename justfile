# What CI runs.
check:
    .ci/run

# The main job on generated images.
demo:
    cargo run --release -- demo

# Builds the C library and installs it, headers, pkg-config file and CMake package: just install-c /usr/local
install-c PREFIX:
    crates/blemish-c/install.sh {{PREFIX}}

# Builds the Python wheel (`pip install maturin`).
wheel:
    maturin build --release -m crates/blemish-python/Cargo.toml

# Writes include/blemish.h from the sources.
header:
    BLEMISH_WRITE_HEADER=1 cargo test -p blemish-c --test header

# Overhead of C and Python over Rust, and two Python threads beside one.
bench-embed:
    python3 benches/embed.py

# Rewrites the test fixtures; see reference/README.md.
fixtures:
    python3 reference/fixtures.py
    python3 reference/backbones.py
    python3 reference/metrics_oracle.py

# Side by side with PyTorch, ONNX Runtime and OpenVINO; writes benches/results.md. `just bench --smoke` for a taste.
bench *arguments:
    python3 benches/run.py {{arguments}}

# The modules with `unsafe` under Miri (`rustup toolchain install nightly --component miri --component rust-src`): the
# portable halves of the kernels, the C boundary from a model's bytes to its prediction, then the 8-bit instructions. It does not
# know those of bf16. The boundary takes half an hour (all passed on 2026-11-28).
miri:
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p blemish-kernels --lib -- bf16 int8
    cargo run -q --release -p blemish-c --example fixture -- target/miri-model
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks" RAYON_NUM_THREADS=1 \
        BLEMISH_TINY_MODEL="$PWD/target/miri-model/miri.blemish.safetensors" cargo +nightly miri test -p blemish-c --lib --test misuse
    MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS="-C target-cpu=icelake-server" cargo +nightly miri test -p blemish-kernels --lib -- int8
