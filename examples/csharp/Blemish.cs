// blemish for C#: models that free themselves, errors as exceptions, over the C library blemish_c.
// In the C# of .NET Framework 4.7, so that it compiles there, with Mono and with every .NET since.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Blemish
{
    public enum Format : uint { Grey8 = 1, Rgb8, Bgr8, Grey16, Rgb16, Bgr16 }

    public enum Verdict : uint { Good, Defective, Review }

    /// <summary>A connected part of the image that is anomalous: its box, in pixels of the image.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Region
    {
        public uint X, Y, Width, Height;
        public ulong Area;
        public float Peak;
    }

    /// <summary>What a model says of one image. Map has MapHeight rows of MapWidth values.</summary>
    public sealed class Prediction
    {
        public float Score { get; internal set; }
        public float Threshold { get; internal set; }
        public Verdict Verdict { get; internal set; }
        public bool IsDefective { get { return Verdict == Verdict.Defective; } }
        /// <summary>Why: "normal", "anomaly", "blank", "no_product".</summary>
        public string Reason { get; internal set; }
        /// <summary>Share of the image that was inspected, 0 to 1.</summary>
        public float Inspected { get; internal set; }
        /// <summary>The most anomalous first.</summary>
        public Region[] Regions { get; internal set; }
        public float[] Map { get; internal set; }
        public int MapHeight { get; internal set; }
        public int MapWidth { get; internal set; }
    }

    public sealed class BlemishException : Exception
    {
        public BlemishException(int status, string message) : base(message) { Status = status; }

        /// <summary>A blemish_status.</summary>
        public int Status { get; }
    }

    /// <summary>A fitted detector; predictions may be made from many threads at once.</summary>
    public sealed class Model : SafeHandle
    {
        private Model() : base(IntPtr.Zero, true) { }

        public override bool IsInvalid { get { return handle == IntPtr.Zero; } }

        protected override bool ReleaseHandle() { return Native.blemish_free(handle) == 0; }

        public static Model Load(string path)
        {
            var model = new Model();
            IntPtr loaded;
            Native.Check(Native.blemish_load(Native.Utf8(path), out loaded));
            model.SetHandle(loaded);
            return model;
        }

        /// <summary>Predicts from pixels row by row, each row stride bytes after the other; 0: without gaps.</summary>
        public Prediction Predict(byte[] pixels, int width, int height, Format format, int stride = 0)
        {
            var pinned = GCHandle.Alloc(pixels, GCHandleType.Pinned);
            try
            {
                return Predict(pinned.AddrOfPinnedObject(), pixels.Length, width, height, format, stride);
            }
            finally
            {
                pinned.Free();
            }
        }

        /// <summary>The same from memory of a camera: size bytes at data.</summary>
        public Prediction Predict(IntPtr data, long size, int width, int height, Format format, int stride = 0)
        {
            var image = new Native.Image
            {
                Data = data,
                Size = new UIntPtr(checked((ulong)size)),
                Stride = new UIntPtr(checked((uint)stride)),
                Width = checked((uint)width),
                Height = checked((uint)height),
                Format = (uint)format,
            };
            IntPtr prediction;
            Native.Check(Native.blemish_predict(this, ref image, out prediction));
            return Read(prediction);
        }

        public Prediction PredictFile(string path)
        {
            IntPtr prediction;
            Native.Check(Native.blemish_predict_file(this, Native.Utf8(path), out prediction));
            return Read(prediction);
        }

        public void SetThreshold(float threshold) { Native.Check(Native.blemish_set_threshold(this, threshold)); }

        public void SetFpr(double fpr) { Native.Check(Native.blemish_set_fpr(this, fpr)); }

        public void SetThreads(int threads)
        {
            Native.Check(Native.blemish_set_threads(this, new UIntPtr(checked((uint)threads))));
        }

        private static Prediction Read(IntPtr prediction)
        {
            try
            {
                var result = new Native.Result { StructSize = new UIntPtr((uint)Marshal.SizeOf(typeof(Native.Result))) };
                Native.Check(Native.blemish_prediction_get(prediction, ref result));
                var regions = new Region[(int)result.RegionCount];
                for (var i = 0; i < regions.Length; i++)
                {
                    var at = new IntPtr(result.Regions.ToInt64() + (long)i * Marshal.SizeOf(typeof(Region)));
                    regions[i] = (Region)Marshal.PtrToStructure(at, typeof(Region));
                }
                var map = new float[(int)result.MapHeight * (int)result.MapWidth];
                Marshal.Copy(result.Map, map, 0, map.Length);
                return new Prediction
                {
                    Score = result.Score,
                    Threshold = result.Threshold,
                    Verdict = (Verdict)result.Verdict,
                    Inspected = result.Inspected,
                    Reason = Native.Text(result.Reason),
                    Regions = regions,
                    Map = map,
                    MapHeight = (int)result.MapHeight,
                    MapWidth = (int)result.MapWidth,
                };
            }
            finally
            {
                Native.blemish_prediction_free(prediction);
            }
        }
    }

    internal static class Native
    {
        private const string Library = "blemish_c";

        [StructLayout(LayoutKind.Sequential)]
        internal struct Image
        {
            internal IntPtr Data;
            internal UIntPtr Size, Stride;
            internal uint Width, Height, Format;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct Result
        {
            internal UIntPtr StructSize;
            internal float Score, Threshold;
            internal uint Verdict;
            internal float OutlinedFrom, ReviewThreshold, Inspected;
            internal IntPtr Reason, Regions;
            internal UIntPtr RegionCount;
            internal IntPtr Map;
            internal UIntPtr MapHeight, MapWidth;
        }

        internal static void Check(int status)
        {
            if (status != 0) throw new BlemishException(status, Text(blemish_last_error()));
        }

        /// <summary>Text as the library takes it, with a zero byte at its end.</summary>
        internal static byte[] Utf8(string text)
        {
            if (text == null) throw new ArgumentNullException("text");
            return Encoding.UTF8.GetBytes(text + "\0");
        }

        internal static string Text(IntPtr text)
        {
            var length = 0;
            while (Marshal.ReadByte(text, length) != 0) length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }

        [DllImport(Library)] internal static extern IntPtr blemish_last_error();
        [DllImport(Library)] internal static extern int blemish_load(byte[] path, out IntPtr model);
        [DllImport(Library)] internal static extern int blemish_free(IntPtr model);
        [DllImport(Library)] internal static extern int blemish_predict(Model model, ref Image image, out IntPtr prediction);
        [DllImport(Library)] internal static extern int blemish_predict_file(Model model, byte[] path, out IntPtr prediction);
        [DllImport(Library)] internal static extern int blemish_prediction_get(IntPtr prediction, ref Result result);
        [DllImport(Library)] internal static extern int blemish_prediction_free(IntPtr prediction);
        [DllImport(Library)] internal static extern int blemish_set_threshold(Model model, float threshold);
        [DllImport(Library)] internal static extern int blemish_set_fpr(Model model, double fpr);
        [DllImport(Library)] internal static extern int blemish_set_threads(Model model, UIntPtr threads);
    }
}
