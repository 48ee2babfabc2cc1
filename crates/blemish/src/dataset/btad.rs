//! BTAD, the beanTech data set (Mishra et al., "VT-ADL: A Vision Transformer Network for Image Anomaly Detection and
//! Localization", 2021): `train/ok/*`, `test/{ok,ko}/*`, `ground_truth/ko/<stem>.*`. Apart from the names it is MVTec
//! AD's layout.

use super::{Layout, Reader, mvtec};

pub(super) const READER: Reader = Reader {
    layout: Layout::Btad,
    expects: "`train/ok` and `test` (BTAD)",
    detect: |root| mvtec::has_train(root) && mvtec::is_named_ok(root),
    read: mvtec::read,
};
