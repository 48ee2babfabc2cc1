# What CI runs.
check:
    .ci/run

# The main job on generated images.
demo:
    cargo run --release -- demo

# Rewrites the test fixtures; see reference/README.md.
fixtures:
    python3 reference/fixtures.py
    python3 reference/metrics_oracle.py

# Side by side with PyTorch, ONNX Runtime and OpenVINO; writes benches/results.md. `just bench --smoke` for a taste.
bench *arguments:
    python3 benches/run.py {{arguments}}

# The modules with `unsafe` under Miri (`rustup toolchain install nightly --component miri --component rust-src`): the
# portable halves of both, then the 8-bit instructions. It does not know those of bf16.
miri:
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p blemish --lib -- kernels::bf16 kernels::int8
    MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS="-C target-cpu=icelake-server" cargo +nightly miri test -p blemish --lib -- kernels::int8
