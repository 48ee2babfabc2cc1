//! Where to compute.

use blemish::Error;
use blemish_train::Device;
use clap::{Args, ValueEnum};

use crate::failure::Result;

/// A device by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// The processor, all its cores
    Cpu,
    /// A graphics card through Vulkan, Metal or DirectX 12
    Wgpu,
    /// An NVIDIA graphics card
    Cuda,
}

/// Where to compute, as the command line says.
#[derive(Args)]
pub struct DeviceArgs {
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
}

impl DeviceArgs {
    /// The device, if this program was built for it.
    pub fn open(&self) -> Result<Device> {
        self.device.open()
    }
}

impl DeviceName {
    /// The device, if this program was built for it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(Default::default())),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
            other => {
                let name = other.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
                let reason =
                    format!("this program was built without {name}: build it with --features {name}");
                Err(Error::config("--device", reason).into())
            }
        }
    }
}
