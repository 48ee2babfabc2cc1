//! Which patches are hidden, with the same count in every image.

/// Hidden patches of a batch, in image order (row by row); 1 = hidden. Every image hides the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    grid: [usize; 2],
    hidden: Vec<Vec<bool>>,
}

impl Mask {
    /// A mask from one row of flags per image, row by row of the grid.
    ///
    /// # Panics
    /// If a row has another length than the grid, or the rows hide different numbers.
    pub fn new(grid: [usize; 2], hidden: Vec<Vec<bool>>) -> Self {
        let count = |row: &[bool]| row.iter().filter(|&&h| h).count();
        for row in &hidden {
            assert_eq!(row.len(), grid[0] * grid[1], "a mask has one flag per patch");
            assert_eq!(count(row), count(&hidden[0]), "every image hides the same number of patches");
        }
        Self { grid, hidden }
    }

    /// Rows and columns of the patch grid.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.hidden.len()
    }

    /// Hidden patches per image.
    pub fn hidden_count(&self) -> usize {
        self.hidden.first().map_or(0, |row| row.iter().filter(|&&h| h).count())
    }

    /// The flags of one image.
    pub fn hidden(&self, image: usize) -> &[bool] {
        &self.hidden[image]
    }

    /// Indices of the visible patches into the flattened batch `[B * N]`, ascending: `ids_keep`.
    pub fn ids_keep(&self) -> Vec<i64> {
        let all = self.hidden.iter().flatten().enumerate();
        all.filter(|(_, hidden)| !**hidden).map(|(i, _)| i as i64).collect()
    }

    /// For every patch of the flattened batch, its row among the visible ones, or `B * N_visible` (where the
    /// mask token is put) when it is hidden: `ids_restore`.
    pub fn ids_restore(&self) -> Vec<i64> {
        let token = self.ids_keep().len() as i64;
        let mut next = -1;
        let row_of = |&hidden: &bool| {
            if hidden {
                return token;
            }
            next += 1;
            next
        };
        self.hidden.iter().flatten().map(row_of).collect()
    }

    /// 1 where a pixel is hidden, `[B, H, W, 1]` flattened, for patches of side `p`.
    pub fn pixels(&self, p: usize) -> Vec<f32> {
        pixels(self.grid, self.hidden.iter().cloned(), p)
    }
}

/// 1 at the pixels of the patches that are flagged, image by image.
pub(super) fn pixels(
    [rows, columns]: [usize; 2],
    flags: impl ExactSizeIterator<Item = Vec<bool>>,
    p: usize,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(flags.len() * rows * columns * p * p);
    for image in flags {
        for row in image.chunks_exact(columns) {
            let start = values.len();
            for &flag in row {
                values.extend(std::iter::repeat_n(f32::from(u8::from(flag)), p));
            }
            for _ in 1..p {
                values.extend_from_within(start..start + columns * p);
            }
        }
    }
    values
}
