//! The learning rate of a step: linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017).

/// One stage's schedule, counted in optimiser steps.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Peak learning rate.
    pub peak: f64,
    /// Steps of linear warm-up.
    pub warmup: f64,
    /// Steps of the whole stage.
    pub total: usize,
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    pub fn learning_rate(&self, step: usize) -> f64 {
        let step = step as f64;
        if step < self.warmup {
            return self.peak * (step + 1.0) / self.warmup.max(1.0);
        }
        let progress = (step - self.warmup) / (self.total as f64 - self.warmup).max(1.0);
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_peaks_and_ends_near_zero() {
        let schedule = Schedule { peak: 2.0, warmup: 4.0, total: 104 };
        assert_eq!(schedule.learning_rate(0), 0.5);
        assert_eq!(schedule.learning_rate(3), 2.0);
        assert_eq!(schedule.learning_rate(4), 2.0);
        assert!((schedule.learning_rate(54) - 1.0).abs() < 1e-12);
        assert!(schedule.learning_rate(103) < 1e-3);
    }
}
