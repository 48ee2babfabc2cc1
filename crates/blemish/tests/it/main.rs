//! The integration tests, one binary: whole fits, metrics against scikit-learn, module imports, real data.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backbone;
mod duplicates;
mod extend;
mod fit;
mod fuzz;
mod imports;
mod metrics;
mod real_data;
mod sizes;
mod source;
