//! Text in a fixed area of memory: the scratch of [`crate::bindings`], or the buffer of [`crate::w3c::outgoing`]. Text that
//! has no room is dropped.

/// Writes from the start of an area.
pub(crate) struct Lines<'a> {
    area: &'a mut [u8],
    /// The number of bytes so far. A lower number takes text back.
    pub(crate) at: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(area: &'a mut [u8]) -> Self {
        Self { area, at: 0 }
    }

    #[inline(never)]
    pub(crate) fn put(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            if let Some(slot) = self.area.get_mut(self.at) {
                *slot = byte;
                self.at = self.at.wrapping_add(1);
            }
        }
        self
    }
}
