//! The kinds of defects.

/// A kind of defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DefectKind {
    /// A branching random walk, 0.6 to 2 px wide, dark or bright.
    HairlineCrack,
    /// A straight or curved groove with a bright rim.
    Scratch,
    /// A soft, partly transparent discolouration.
    Stain,
    /// A shaded bump or hollow.
    Dent,
    /// A dark hole with a rim.
    Hole,
    /// A part of the product is not there.
    MissingPart,
    /// A part of the product is shifted or turned.
    MovedPart,
    /// A patch of another texture.
    ForeignTexture,
    /// A patch from another place of the same image (Li et al. 2021, arXiv:2104.04015).
    CutPaste,
    /// CutPaste's long thin rectangle.
    Scar,
    /// A region of higher or lower contrast.
    ContrastChange,
    /// A region out of focus.
    LocalBlur,
    /// A region whose texture is turned, finer or coarser.
    TextureWarp,
    /// A strip along the texture is displaced or broken off.
    ThreadBreak,
    /// A strip along the texture is repeated beside itself.
    DoubledThread,
    /// A piece of the product's outline is broken off.
    ChippedEdge,
    /// Specks or crumbs of foreign matter.
    Contamination,
    /// A thin curled fibre with a shadow.
    Fibre,
    /// Dark or bright ink has spread.
    PrintBleed,
    /// Print or texture is missing.
    PrintMissing,
    /// A region of another colour or brightness.
    ColourChange,
    /// A bright reflection. Validation only.
    Glare,
    /// Many small pits. Validation only.
    Pitting,
    /// The surface is smeared in one direction. Validation only.
    Smear,
    /// The surface is pulled aside. Validation only.
    Fold,
}

impl DefectKind {
    /// Every kind.
    pub const ALL: [Self; 25] = [
        Self::HairlineCrack,
        Self::Scratch,
        Self::Stain,
        Self::Dent,
        Self::Hole,
        Self::MissingPart,
        Self::MovedPart,
        Self::ForeignTexture,
        Self::CutPaste,
        Self::Scar,
        Self::ContrastChange,
        Self::LocalBlur,
        Self::TextureWarp,
        Self::ThreadBreak,
        Self::DoubledThread,
        Self::ChippedEdge,
        Self::Contamination,
        Self::Fibre,
        Self::PrintBleed,
        Self::PrintMissing,
        Self::ColourChange,
        Self::Glare,
        Self::Pitting,
        Self::Smear,
        Self::Fold,
    ];

    /// Whether only [`crate::Families::Validation`] has it.
    pub fn is_held_out(self) -> bool {
        matches!(self, Self::Glare | Self::Pitting | Self::Smear | Self::Fold)
    }

    /// Whether it is measured by its length rather than by its area.
    pub fn is_line(self) -> bool {
        matches!(self, Self::HairlineCrack | Self::Scratch | Self::Fibre | Self::Scar)
    }

    /// How often it is drawn where it fits: what fits few scenes, and thin lines, which are hard to find, more often.
    pub(crate) fn weight(self) -> usize {
        match self {
            Self::MissingPart | Self::MovedPart | Self::ChippedEdge => 3,
            Self::HairlineCrack | Self::Scratch => 2,
            _ => 1,
        }
    }

    /// Its name in lower case with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Self::HairlineCrack => "hairline_crack",
            Self::Scratch => "scratch",
            Self::Stain => "stain",
            Self::Dent => "dent",
            Self::Hole => "hole",
            Self::MissingPart => "missing_part",
            Self::MovedPart => "moved_part",
            Self::ForeignTexture => "foreign_texture",
            Self::CutPaste => "cut_paste",
            Self::Scar => "scar",
            Self::ContrastChange => "contrast_change",
            Self::LocalBlur => "local_blur",
            Self::TextureWarp => "texture_warp",
            Self::ThreadBreak => "thread_break",
            Self::DoubledThread => "doubled_thread",
            Self::ChippedEdge => "chipped_edge",
            Self::Contamination => "contamination",
            Self::Fibre => "fibre",
            Self::PrintBleed => "print_bleed",
            Self::PrintMissing => "print_missing",
            Self::ColourChange => "colour_change",
            Self::Glare => "glare",
            Self::Pitting => "pitting",
            Self::Smear => "smear",
            Self::Fold => "fold",
        }
    }
}
