"""All measures of graphs and of molecules, in the order of a report."""

from genlab.metrics.graphs.kernels import VARIANTS
from genlab.metrics.measure import Measure

WHAT = {
    "degree": "degrees",
    "clustering": "clustering coefficients",
    "orbit": "orbits in subgraphs of four nodes",
    "spectrum": "the Laplacian's eigenvalues",
}
PAPERS = {"emd": "GraphRNN and GDSS", "tv": "SPECTRE and DiGress"}
MEASURES = (
    *(
        Measure(f"{name}{end}", f"MMD² of {what} with the kernel of {PAPERS[variant]}, biased", "min")
        for variant, end in VARIANTS.items()
        for name, what in WHAT.items()
    ),
    Measure("mean_mmd", "mean of degree_mmd, clustering_mmd and orbit_mmd, as GDSS averages them", "min"),
    *(
        Measure(f"{name}{end}_ratio", f"{name}{end} over that of as many training graphs", "near 1")
        for end in VARIANTS.values()
        for name in WHAT
    ),
    Measure("mean_ratio", "mean of the four ratios *_mmd_tv_ratio whose floor is not 0", "near 1"),
    Measure("connected", "share of connected graphs", ""),
    Measure("nodes_ks", "Kolmogorov-Smirnov statistic of the number of nodes", "min"),
    Measure("edges_ks", "Kolmogorov-Smirnov statistic of the number of edges", "min"),
    Measure("density_ks", "Kolmogorov-Smirnov statistic of the share of pairs that are edges", "min"),
    Measure("node_tv", "mean total variation of the categories of nodes", "min"),
    Measure("node_ks", "mean Kolmogorov-Smirnov statistic of the numbers of nodes", "min"),
    Measure("edge_tv", "mean total variation of the categories of edges", "min"),
    Measure("edge_ks", "mean Kolmogorov-Smirnov statistic of the numbers of edges", "min"),
    Measure("planar", "share of planar graphs, where all training graphs are planar", "max"),
    Measure("unique", "number of different graphs, up to isomorphism, over that of samples", "max"),
    Measure("novel", "share of samples that are not isomorphic to a training graph", "max"),
    Measure(
        "class_kl", "KL of the shares of isomorphism classes from the true ones, or those of training", "min", "nats"
    ),
    Measure("class_known", "share of samples in a true class, or one of training", "max"),
    Measure("class_covered", "probability of the classes that have a sample", "max"),
    Measure("valid", "share of valid molecules, before any repair", "max"),
    Measure("valid_unique", "number of different molecules over that of valid ones", "max"),
    Measure("valid_novel", "share of the different valid molecules that are not in training", "max"),
    Measure("atoms_w1", "Wasserstein-1 distance of the number of atoms without hydrogens", "min"),
    Measure("logp_w1", "Wasserstein-1 distance of log P", "min"),
    Measure("qed_w1", "Wasserstein-1 distance of QED, the likeness to drugs", "min"),
    Measure("ring_size_w1", "Wasserstein-1 distance of the sizes of rings", "min"),
    Measure("internal_diversity", "1 minus the mean similarity of valid molecules; compare it with the floor", ""),
)
