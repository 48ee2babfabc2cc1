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
