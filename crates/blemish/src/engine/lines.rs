//! Which lines of a batch of maps a step computes or reads, and the runs that they are worked on in.

/// Lines of a batch of maps of the same height; also rows of patches, or tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    height: usize,
    /// `[B, height]`
    wanted: Vec<bool>,
}

/// Consecutive lines of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The map.
    pub image: usize,
    /// The first line.
    pub first: usize,
    /// How many lines.
    pub count: usize,
}

impl Lines {
    /// The lines that are `wanted`, `[B, height]`.
    pub fn new(height: usize, wanted: Vec<bool>) -> Self {
        Self { height, wanted }
    }

    /// All lines.
    pub fn all(batch: usize, height: usize) -> Self {
        Self::new(height, vec![true; batch * height])
    }

    /// No line.
    pub fn none(batch: usize, height: usize) -> Self {
        Self::new(height, vec![false; batch * height])
    }

    /// Runs of at most `most` lines, in order.
    pub fn runs(&self, most: usize) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, _) in self.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let (image, line) = (at / self.height, at % self.height);
            match runs.last_mut() {
                Some(run) if run.image == image && run.first + run.count == line && run.count < most => {
                    run.count += 1;
                }
                _ => runs.push(Run { image, first: line, count: 1 }),
            }
        }
        runs
    }

    /// Those of a map of `height` lines for which `wanted` gives a range of these that has a wanted one.
    fn map(&self, height: usize, range: impl Fn(usize) -> [usize; 2]) -> Self {
        let map = |lines: &[bool]| -> Vec<bool> {
            let any = |line| {
                let [first, end] = range(line);
                lines[first.min(self.height)..end.min(self.height)].contains(&true)
            };
            (0..height).map(any).collect()
        };
        Self { height, wanted: self.wanted.chunks(self.height.max(1)).flat_map(map).collect() }
    }

    /// The lines that a 3 x 3 convolution of stride 1 reads for these, or of which it makes these.
    pub fn beside(&self) -> Self {
        self.map(self.height, |y| [y.saturating_sub(1), y + 2])
    }

    /// The lines that a 3 x 3 convolution of stride 2 reads for these: `2 y - 1` to `2 y + 1` for line `y`.
    pub fn read(&self) -> Self {
        self.map(2 * self.height, |y| [y / 2, y.div_ceil(2) + 1])
    }

    /// The lines for which a 3 x 3 convolution of stride 2 reads one of these.
    pub fn reach(&self) -> Self {
        self.map(self.height / 2, |y| [(2 * y).saturating_sub(1), 2 * y + 2])
    }

    /// Every line as `times` lines of a finer map.
    pub fn finer(&self, times: usize) -> Self {
        self.map(times * self.height, |y| [y / times, y / times + 1])
    }

    /// The lines of a map of half the height that hold one of these.
    pub(crate) fn halved(&self) -> Self {
        self.map(self.height / 2, |y| [2 * y, 2 * y + 2])
    }

    /// Those of both.
    pub fn and(&self, other: &Self) -> Self {
        self.join(other, |a, b| a && b)
    }

    /// Those of either.
    pub fn or(&self, other: &Self) -> Self {
        self.join(other, |a, b| a || b)
    }

    /// Those that the other does not have.
    pub fn without(&self, other: &Self) -> Self {
        self.join(other, |a, b| a && !b)
    }

    fn join(&self, other: &Self, join: impl Fn(bool, bool) -> bool) -> Self {
        assert_eq!((self.height, self.wanted.len()), (other.height, other.wanted.len()));
        let wanted = self.wanted.iter().zip(&other.wanted).map(|(a, b)| join(*a, *b)).collect();
        Self { height: self.height, wanted }
    }
}

/// The part of `data` that belongs to each run. An image takes `image` floats, and its lines `line` floats each from
/// float `start` of it on; with lines of no floats, every part is empty.
pub fn split<'a>(
    mut data: &'a mut [f32],
    runs: &[Run],
    [image, start, line]: [usize; 3],
) -> impl Iterator<Item = &'a mut [f32]> {
    let mut passed = 0;
    runs.iter().map(move |run| {
        if line == 0 {
            return Default::default();
        }
        let at = run.image * image + start + run.first * line;
        let (_, rest) = std::mem::take(&mut data).split_at_mut(at - passed);
        let (part, rest) = rest.split_at_mut(run.count * line);
        (data, passed) = (rest, at + part.len());
        part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(height: usize, wanted: &[usize]) -> Lines {
        Lines::new(height, (0..height).map(|line| wanted.contains(&line)).collect())
    }

    #[test]
    fn what_convolutions_read() {
        assert_eq!(lines(5, &[0, 3]).beside(), lines(5, &[0, 1, 2, 3, 4]));
        assert_eq!(lines(4, &[2]).read(), lines(8, &[3, 4, 5]));
        assert_eq!(lines(4, &[0, 3]).read(), lines(8, &[0, 1, 5, 6, 7]));
        assert_eq!(lines(8, &[4]).reach(), lines(4, &[2]));
        assert_eq!(lines(8, &[3, 7]).reach(), lines(4, &[1, 2, 3]));
        assert_eq!(lines(3, &[1]).finer(2), lines(6, &[2, 3]));
        assert_eq!(lines(6, &[3, 4]).halved(), lines(3, &[1, 2]));
    }

    #[test]
    fn runs_and_their_parts() {
        let both = Lines::new(4, [lines(4, &[0, 1, 2]).wanted, lines(4, &[0, 3]).wanted].concat());
        let runs = both.runs(2);
        let shapes: Vec<_> = runs.iter().map(|run| [run.image, run.first, run.count]).collect();
        assert_eq!(shapes, [[0, 0, 2], [0, 2, 1], [1, 0, 1], [1, 3, 1]]);
        let mut data: Vec<f32> = (0..20).map(|v| v as f32).collect();
        let parts: Vec<_> = split(&mut data, &runs, [10, 1, 2]).map(|part| part.to_vec()).collect();
        assert_eq!(parts, [vec![1., 2., 3., 4.], vec![5., 6.], vec![11., 12.], vec![17., 18.]]);
    }
}
