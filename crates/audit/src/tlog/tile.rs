//! Tiles and entry bundles: how a tree and its entries are cut into files.
//! SPEC: C2SP tlog-tiles, "Merkle Tree" and "Log entries".

/// Hashes in a full tile and entries in a full bundle (tile height 8).
pub const TILE_WIDTH: u64 = 256;

/// One tile: `width` consecutive hashes at `level`, the `index`-th of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// 0 holds leaf hashes; level L+1 holds the roots of full tiles of level L.
    pub level: u8,
    /// Position within the level.
    pub index: u64,
    /// 1 to 256; less than 256 is a partial tile.
    pub width: u64,
}

impl Tile {
    /// The path below the log's prefix, for example `tile/0/x001/234` or `tile/1/000.p/17`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, index_path(self.index, self.width))
    }
}

/// The path of an entry bundle below the log's prefix, for example `tile/entries/000.p/3`.
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", index_path(index, width))
}

/// `x001/x234/067`, with `.p/W` when partial.
fn index_path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Every tile that a tree of `size` entries consists of, level by level.
pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    (0u8..8).flat_map(move |level| {
        let hashes = size.checked_shr(u32::from(level) * 8).unwrap_or(0);
        let full = (0..hashes / TILE_WIDTH).map(move |index| Tile { level, index, width: TILE_WIDTH });
        let partial = Tile { level, index: hashes / TILE_WIDTH, width: hashes % TILE_WIDTH };
        full.chain((partial.width > 0).then_some(partial))
    })
}

/// Why the bytes of a bundle are not a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry is longer than 65,535 bytes.
    #[error("an entry of {0} bytes does not fit a bundle")]
    TooLong(usize),
    /// The bytes end inside an entry.
    #[error("the bundle ends inside the entry at byte {0}")]
    Truncated(usize),
}

/// Appends one entry to a bundle: its length as big-endian `u16`, then its bytes.
pub fn encode_bundle_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle, in order.
pub fn decode_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let truncated = BundleError::Truncated(bundle.len() - rest.len());
        let (length, tail) = rest.split_first_chunk::<2>().ok_or(truncated)?;
        let (entry, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(truncated)?;
        entries.push(entry);
        rest = tail;
    }
    Ok(entries)
}
