//! The views of good images, and subsets of them, read one at a time.

use std::sync::Arc;

use rayon::prelude::*;

use super::progress::Progress;
use crate::error::Result;
use crate::image::{Affine, Image, Pieces};
use crate::spill::Spill;
use crate::view::{Normaliser, Pose, Template};

/// Cuts the view of this number anew, in a pose.
pub(super) type Recut<'a> = dyn Fn(usize, Pose) -> Result<Image> + Sync + 'a;

/// The views of all good images, kept outside memory.
#[derive(Debug)]
pub struct Views {
    size: [usize; 2],
    /// Of each view.
    sizes: Vec<[usize; 2]>,
    channels: usize,
    normaliser: Normaliser,
    /// What that does to each view, where views are registered: they are read many times.
    affines: Vec<Affine>,
    pixels: Spill,
    names: Vec<String>,
}

impl Views {
    /// For views of `size` (height, width), or of any size where parts take them in tiles of `size`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where no temporary file can be made.
    pub fn new(size: [usize; 2], channels: usize, normaliser: impl Into<Normaliser>) -> Result<Self> {
        let (pixels, sizes) = (Spill::new()?, Vec::new());
        let normaliser = normaliser.into();
        Ok(Self { size, sizes, channels, normaliser, affines: Vec::new(), pixels, names: Vec::new() })
    }

    /// Adds the view of the image called `name`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), such as a full disk.
    pub fn push(&mut self, name: String, view: &Image) -> Result<()> {
        self.pixels.push(&view.pixels)?;
        self.sizes.push([view.height, view.width]);
        self.names.push(name);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pixels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Files of the images.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Height and width of view `i`.
    pub fn size_of(&self, i: usize) -> [usize; 2] {
        self.sizes[i]
    }

    /// Whether all views have one size.
    pub fn have_one_size(&self) -> bool {
        self.sizes.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// What makes of a view what parts see.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// View `i` as it was cut, values nominally in [0, 1].
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn get(&self, i: usize) -> Result<Image> {
        let [height, width] = self.sizes[i];
        Ok(Image { height, width, channels: self.channels, pixels: self.pixels.get(i)? })
    }

    /// View `i` as parts see it.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn normalised(&self, i: usize) -> Result<Image> {
        let view = self.get(i)?;
        let affine = self.affines.get(i).copied().unwrap_or_else(|| self.normaliser.affine(&view));
        Ok(self.normaliser.apply_as(affine, view))
    }

    /// Registers every view to the mean of all, which images to come will be registered to as well. `recut` cuts a view anew
    /// from its image, in its pose; without it views are their own source.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub(crate) fn register(&mut self, progress: &Progress<'_>, recut: Option<&Recut<'_>>) -> Result<()> {
        progress.step("registering good images", 0, self.len())?;
        let read = |i: usize| progress.check().and_then(|()| self.get(i));
        let Some((template, poses)) = Template::fit(self.len(), &read)? else { return Ok(()) };
        let moved = |(i, pose): (usize, Pose)| match recut {
            _ if pose == Pose::default() => Ok(()),
            Some(recut) => self.pixels.set(i, &recut(i, pose)?.pixels),
            None => self.pixels.set(i, &pose.apply(&self.get(i)?).pixels),
        };
        poses.into_par_iter().enumerate().try_for_each(moved)?;
        progress.step("registering good images", self.len(), self.len())?;
        self.normaliser = self.normaliser.clone().registered(Arc::new(template));
        self.affines = self.registered_affines()?;
        Ok(())
    }

    /// Ignores what is not 0 in `mask`, `[H, W]` of every view.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn ignore(&mut self, mask: Vec<f32>) -> Result<()> {
        self.normaliser = self.normaliser.clone().ignoring(mask, self.size[1]);
        if !self.affines.is_empty() {
            self.affines = self.registered_affines()?;
        }
        Ok(())
    }

    fn registered_affines(&self) -> Result<Vec<Affine>> {
        (0..self.len()).into_par_iter().map(|i| Ok(self.normaliser.affine(&self.get(i)?))).collect()
    }
}

/// Some of the good images: what a part is fitted on.
#[derive(Debug)]
pub struct GoodImages<'a> {
    views: &'a Views,
    /// Numbers of views and, where each is brought before a part in pieces, of these.
    which: Vec<(usize, usize)>,
    pieces: Option<Pieces>,
}

impl<'a> GoodImages<'a> {
    /// Those of `views` that `which` numbers.
    pub fn new(views: &'a Views, which: Vec<usize>) -> Self {
        Self { views, which: which.into_iter().map(|i| (i, 0)).collect(), pieces: None }
    }

    /// The same images, which have sizes of their own, in pieces.
    #[must_use]
    pub fn in_pieces(&self, pieces: Pieces) -> Self {
        let of =
            |&(i, _): &(usize, usize)| (0..pieces.count(self.views.size_of(i))).map(move |piece| (i, piece));
        Self { views: self.views, which: self.which.iter().flat_map(of).collect(), pieces: Some(pieces) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.which.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.which.is_empty()
    }

    /// Height and width, where they have one size.
    pub fn size(&self) -> [usize; 2] {
        self.views.size
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        self.views.channels
    }

    /// What image `i` is called among all good images: the number of its view, and of its piece.
    pub fn key(&self, i: usize) -> (usize, usize) {
        self.which[i]
    }

    /// Image `i`, normalised.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn get(&self, i: usize) -> Result<Image> {
        let (view, piece) = self.which[i];
        let image = self.views.normalised(view)?;
        Ok(match self.pieces {
            Some(pieces) => pieces.cut(image, piece),
            None => image,
        })
    }

    /// At most `count` of them, evenly spread.
    pub fn at_most(&self, count: usize) -> Self {
        let step = self.len().div_ceil(count.max(1)).max(1);
        Self { which: self.which.iter().step_by(step).copied().collect(), ..*self }
    }

    /// What `of` gives for every image, in order, a few images at a time on all threads.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn for_each<R: Send>(
        &self,
        progress: &Progress<'_>,
        of: impl Fn(&Image) -> R + Sync,
        mut then: impl FnMut(R),
    ) -> Result<()> {
        let all: Vec<usize> = (0..self.len()).collect();
        for some in all.chunks(8) {
            progress.check()?;
            let results: Vec<Result<R>> = some.par_iter().map(|&i| Ok(of(&self.get(i)?))).collect();
            for result in results {
                then(result?);
            }
        }
        Ok(())
    }
}
