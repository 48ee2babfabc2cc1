//! What the command line names: data sets to fit on, and images to judge.

use std::io::{self, BufRead, Read};
use std::iter;
use std::path::{Path, PathBuf};

use blemish::dataset::{self, DataSet, Listing, OnError, Problem};
use blemish::image::is_readable;
use blemish::{Error, Images, read_whole};

use crate::failure::{Failure, Result};
use crate::out_folder::resolved;
use crate::output::warn_of;

/// One thing to judge.
#[derive(Debug)]
pub enum Input {
    /// An image file.
    File(PathBuf),
    /// An image that came through standard input.
    Bytes(Vec<u8>),
    /// A file of a folder that is no image, or images of it that are left out.
    Skipped(Problem),
    /// Something that was named, and that is no image.
    Unusable {
        /// As it was named.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Input {
    /// What it is called in answers.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) | Self::Unusable { path, .. } | Self::Skipped(Problem { path, .. }) => path,
            Self::Bytes(_) => Path::new("-"),
        }
    }
}

/// All that is to be judged.
pub struct Inputs {
    /// The images, those of a list on standard input as they come.
    pub images: Box<dyn Iterator<Item = Input>>,
    /// How many there are, where that is known beforehand.
    pub total: Option<usize>,
    /// The folders that they lie in.
    pub folders: Vec<PathBuf>,
}

impl Inputs {
    /// Images, folders, `@` lists and `-`: standard input, which brings an image, or a list. A list that names nothing is unusable.
    ///
    /// # Errors
    /// A list or standard input cannot be read.
    pub fn of(paths: &[PathBuf]) -> Result<Self> {
        let (mut inputs, mut folders, mut stream) = (Vec::new(), Vec::new(), None);
        for path in paths {
            let text = path.to_string_lossy();
            if text == "-" {
                if stream.is_some() {
                    return Err(Failure::Usage("standard input (-) is named twice".to_owned()));
                }
                stream = Some(standard_input()?);
            } else if let Some(list) = text.strip_prefix('@').filter(|_| !path.exists()) {
                let bytes = read_whole(Path::new(list))?;
                for name in or_unusable(names(io::Cursor::new(bytes)), path) {
                    add_named(name, &mut inputs, &mut folders);
                }
            } else {
                add(path, &mut inputs, &mut folders);
            }
        }
        folders.sort();
        folders.dedup();
        let listed = inputs.len();
        let inputs = inputs.into_iter();
        Ok(match stream {
            None => Self { images: Box::new(inputs), total: Some(listed), folders },
            Some(Stream::Image(bytes)) => {
                let images = inputs.chain([Input::Bytes(bytes)]);
                Self { images: Box::new(images), total: Some(listed + 1), folders }
            }
            Some(Stream::Names(names)) => {
                let later = or_unusable(names, Path::new("-")).flat_map(|name| {
                    let mut found = Vec::new();
                    add_named(name, &mut found, &mut Vec::new());
                    found
                });
                Self { images: Box::new(inputs.chain(later)), total: None, folders }
            }
        })
    }
}

/// Adds what a list names, or what is wrong with the list.
fn add_named(name: Result<PathBuf, Input>, inputs: &mut Vec<Input>, folders: &mut Vec<PathBuf>) {
    match name {
        Ok(name) => add(&name, inputs, folders),
        Err(unusable) => inputs.push(unusable),
    }
}

/// Adds a file, the images of a folder, or what a pattern stands for; other files of a folder are named.
fn add(path: &Path, inputs: &mut Vec<Input>, folders: &mut Vec<PathBuf>) {
    let unusable = |path: PathBuf, reason: String| Input::Unusable { path, reason };
    if !path.exists() && !is_pattern(path) {
        let reason = "there is no such file or folder".to_owned();
        return inputs.push(unusable(path.to_path_buf(), reason));
    }
    let found = match dataset::expand(path) {
        Ok(found) => found,
        Err(error) => return inputs.push(unusable(path.to_path_buf(), error.reason())),
    };
    for path in found {
        folders.push(if path.is_dir() { resolved(&path) } else { parent(&path) });
        match dataset::list(std::slice::from_ref(&path)) {
            Ok(listing) => {
                inputs.extend(listing.images.into_iter().map(Input::File));
                inputs.extend(listing.skipped.into_iter().map(Input::Skipped));
            }
            Err(error) => inputs.push(unusable(path, error.reason())),
        }
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The folder that a file lies in.
pub fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    resolved(parent.unwrap_or(Path::new(".")))
}

/// The names of a list, as they come.
type Names = Box<dyn Iterator<Item = io::Result<PathBuf>>>;

enum Stream {
    Image(Vec<u8>),
    Names(Names),
}

/// From so many bytes on every format of images can be told.
const TELLING: usize = 18;
/// What may stand before the end of a line, or a NUL, in the first bytes of PNG, BMP, WebP and TIFF.
const HEADERS: [&[u8]; 6] = [b"\x89PNG", b"BM", b"RIFF", b"MM\0", b"II*\0", b"II+\0"];

/// What standard input brings: an image, if it begins as one, else a list of names.
fn standard_input() -> Result<Stream> {
    let failed = |error| Failure::from(Error::io("-", error));
    let mut stdin = io::stdin().lock();
    let mut first = Vec::new();
    for byte in stdin.by_ref().bytes() {
        first.push(byte.map_err(failed)?);
        // Where a first name ends, whoever sends it may wait for its answer.
        let ends = first.ends_with(b"\n") || first.ends_with(b"\0");
        let may_be_header = first.len() < TELLING && HEADERS.iter().any(|start| first.starts_with(start));
        if ends && !may_be_header || first.len() == TELLING && is_image(&first) {
            break;
        }
    }
    if is_image(&first) {
        stdin.read_to_end(&mut first).map_err(failed)?;
        return Ok(Stream::Image(first));
    }
    Ok(Stream::Names(names(io::Cursor::new(first).chain(stdin))))
}

/// Whether bytes are the beginning of an image rather than of a list of names. What holds other control characters than a list can
/// is no list: the decoder says what is wrong with it.
fn is_image(first: &[u8]) -> bool {
    let is_known = is_readable(first)
        && match first {
            // Names may begin so, too.
            [b'P', _, rest @ ..] => rest.first().is_some_and(u8::is_ascii_whitespace),
            [b'B', b'M', ..] => first.get(15..TELLING) == Some(&[0; 3]),
            _ => true,
        };
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\0\t\r\n".contains(byte);
    is_known || !is_utf16(first) && first.iter().take(TELLING).any(is_control)
}

fn is_utf16(first: &[u8]) -> bool {
    first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff])
}

/// The names of a list: one a line, or set apart by NUL as `find -print0` does it; in UTF-8, or UTF-16 with its mark; perhaps in double
/// quotes. The first end decides which of both ends every name.
fn names(mut list: impl BufRead + 'static) -> Names {
    let mut first = Vec::new();
    if let Err(error) = read_to_end_of_name(&mut list, &mut first) {
        return Box::new(iter::once(Err(error)));
    }
    if is_utf16(&first) {
        return match list.read_to_end(&mut first) {
            Ok(_) => names(io::Cursor::new(utf8(&first).into_bytes())),
            Err(error) => Box::new(iter::once(Err(error))),
        };
    }
    let end = if first.ends_with(b"\0") { b'\0' } else { b'\n' };
    let mut first = Some(first.strip_prefix("\u{feff}".as_bytes()).map(<[u8]>::to_vec).unwrap_or(first));
    let lines = iter::from_fn(move || {
        if let Some(first) = first.take() {
            return Some(Ok(first));
        }
        let mut line = Vec::new();
        match list.read_until(end, &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(error)),
        }
    });
    Box::new(lines.filter_map(move |line| match line {
        Ok(line) => name(&line, end).map(Ok),
        Err(error) => Some(Err(error)),
    }))
}

/// Reads to the first line's end or NUL, or to the end of all.
fn read_to_end_of_name(list: &mut impl BufRead, first: &mut Vec<u8>) -> io::Result<()> {
    for byte in list.by_ref().bytes() {
        first.push(byte?);
        if first.ends_with(b"\n") || first.ends_with(b"\0") {
            break;
        }
    }
    Ok(())
}

/// UTF-16 with its mark as UTF-8.
fn utf8(bytes: &[u8]) -> String {
    let pairs = bytes.as_chunks::<2>().0.iter();
    let units: Vec<u16> = match bytes {
        [0xff, ..] => pairs.map(|pair| u16::from_le_bytes(*pair)).collect(),
        _ => pairs.map(|pair| u16::from_be_bytes(*pair)).collect(),
    };
    String::from_utf16_lossy(units.get(1..).unwrap_or_default())
}

/// What a line of a list names: a name set apart by NUL is taken as it is.
fn name(line: &[u8], end: u8) -> Option<PathBuf> {
    let line = line.strip_suffix(&[end]).unwrap_or(line);
    if end == b'\0' {
        return (!line.is_empty()).then(|| path_of(line));
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let trimmed = line.trim_ascii();
    let quoted = trimmed.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let line = quoted.unwrap_or(line);
    (!line.trim_ascii().is_empty()).then(|| path_of(line))
}

/// On Unix a name may be any bytes.
#[cfg(unix)]
fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// Names, and in the end, where there was none, that nothing was named.
fn or_unusable(mut names: Names, list: &Path) -> impl Iterator<Item = Result<PathBuf, Input>> + use<> {
    let (path, mut is_empty) = (list.to_path_buf(), true);
    iter::from_fn(move || {
        let unusable = |reason: String| Input::Unusable { path: path.clone(), reason };
        let next = names.next().map(|name| name.map_err(|error| unusable(error.to_string())));
        let next = next.or_else(|| {
            is_empty.then(|| Err(unusable("is empty: it names no image, and holds none".to_owned())))
        });
        is_empty = false;
        next
    })
}

/// The images of files and folders; other files are named on standard error.
///
/// # Errors
/// Those of [`dataset::list`] and [`require_folders`].
pub fn images(paths: &[PathBuf], on_error: OnError) -> Result<Images> {
    let Listing { images, skipped } = dataset::list(paths)?;
    require_folders(&skipped, on_error)?;
    warn_of(&skipped);
    Ok(Images::from(images))
}

/// The data set of one or several paths; says what was found where that is not obvious.
///
/// # Errors
/// Those of [`dataset::open_all`] and [`require_folders`].
pub fn open_data(paths: &[PathBuf], category: Option<&str>, on_error: OnError) -> Result<DataSet> {
    let set = dataset::open_all(paths, category)?;
    require_folders(&set.problems, on_error)?;
    if let Some(note) = &set.note {
        tracing::info!("{note}");
    }
    Ok(set)
}

/// A folder that cannot be read is as an image that cannot be used: it stops the work, or is left out.
///
/// # Errors
/// The first such folder, under [`OnError::Stop`].
fn require_folders(problems: &[Problem], on_error: OnError) -> Result<()> {
    match problems.iter().find(|problem| problem.is_closed_folder) {
        Some(Problem { path, reason, .. }) if on_error == OnError::Stop => {
            let reason = reason.replacen(", and is left out", "", 1);
            let hint = "give leave to read it, or leave it out with --on-error skip";
            Err(Error::data(path, format!("{reason}; {hint}")).into())
        }
        _ => Ok(()),
    }
}
