//! Where a view lies in its image.

/// From places in the image to places in the view, both as shares of height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// The view is the whole image, at its own size.
    Whole,
    /// The view is a rectified rectangle.
    Rectified {
        /// Its centre `[y, x]`, in units of the image's longer side.
        centre: [f64; 2],
        /// The unit vector `[y, x]` that its width runs along.
        axis: [f64; 2],
        /// Height and width in the same units.
        extent: [f64; 2],
        /// Height and width of the whole image in the same units.
        image: [f64; 2],
    },
}

impl Placement {
    /// Where a place of the image lies in the view.
    pub fn of(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Whole => [y, x],
            Self::Rectified { centre, axis, extent, image } => {
                let (dy, dx) = (y * image[0] - centre[0], x * image[1] - centre[1]);
                let (u, v) = (dy * axis[0] + dx * axis[1], dy * axis[1] - dx * axis[0]);
                [v / extent[0] + 0.5, u / extent[1] + 0.5]
            }
        }
    }

    /// Where a place of the view lies in the image.
    pub fn back(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        match self {
            Self::Whole => [y, x],
            Self::Rectified { centre, axis, extent, image } => {
                let (v, u) = ((y - 0.5) * extent[0], (x - 0.5) * extent[1]);
                let (dy, dx) = (u * axis[0] + v * axis[1], u * axis[1] - v * axis[0]);
                [(centre[0] + dy) / image[0], (centre[1] + dx) / image[1]]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_undoes_of() {
        let (sin, cos) = 0.7f64.sin_cos();
        let rectified = Placement::Rectified {
            centre: [0.3, 0.6],
            axis: [sin, cos],
            extent: [0.2, 0.5],
            image: [0.75, 1.0],
        };
        for placement in [Placement::Whole, rectified] {
            let [y, x] = placement.back(placement.of([0.31, 0.82]));
            assert!((y - 0.31).abs() < 1e-12 && (x - 0.82).abs() < 1e-12);
        }
    }
}
