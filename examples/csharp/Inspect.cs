// Scores the image files that are named after the model: dotnet run -- MODEL IMAGE...
// The library is found beside the program or through LD_LIBRARY_PATH (PATH on Windows).
using System;
using System.Globalization;
using Blemish;

internal static class Inspect
{
    private static int Main(string[] args)
    {
        if (args.Length < 2)
        {
            Console.Error.WriteLine("usage: inspect MODEL IMAGE...");
            return 2;
        }
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        try
        {
            using (var model = Model.Load(args[0]))
            {
                var defective = false;
                for (var i = 1; i < args.Length; i++) defective |= Judge(model, args[i]);
                return defective ? 1 : 0;
            }
        }
        catch (BlemishException error)
        {
            Console.Error.WriteLine(error.Message);
            return 2;
        }
    }

    private static bool Judge(Model model, string path)
    {
        var prediction = model.PredictFile(path);
        var verdict = prediction.Verdict.ToString().ToLowerInvariant();
        Console.WriteLine("{0}: {1} ({2}), score {3:F3}, threshold {4:F3}", path, verdict, prediction.Reason, prediction.Score,
            prediction.Threshold);
        foreach (var region in prediction.Regions)
            Console.WriteLine("  {0} x {1} pixels at column {2}, row {3}, peak {4:F3}", region.Width, region.Height, region.X,
                region.Y, region.Peak);
        return prediction.IsDefective;
    }
}
