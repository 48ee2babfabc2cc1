//! The integration tests, one binary: metrics against scikit-learn, module imports, real data.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod imports;
mod metrics;
mod real_data;
mod source;
