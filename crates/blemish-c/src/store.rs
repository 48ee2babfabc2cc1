//! What handles name.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use blemish::Detector;
use blemish::pools::Pools;

use crate::handle::Table;
use crate::result::Stored;

pub static MODELS: Table<Model> = Table::new(0xb1);
pub static PREDICTIONS: Table<Stored> = Table::new(0xb2);

/// A detector that many threads share: predictions run side by side, a new threshold waits for those that have begun.
#[derive(Debug)]
pub struct Model {
    detector: RwLock<Detector>,
    pub pools: Pools,
}

impl Model {
    pub fn new(detector: Detector) -> Self {
        Self { detector: RwLock::new(detector), pools: Pools::default() }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Detector> {
        self.detector.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Detector> {
        self.detector.write().unwrap_or_else(PoisonError::into_inner)
    }
}
