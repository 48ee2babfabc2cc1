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
