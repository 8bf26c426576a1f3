"""All measures of graphs and of molecules, in the order of a report."""

from genlab.metrics.measure import Measure

MEASURES = (
    Measure("degree_mmd", "MMD² of degrees with the kernel of GraphRNN and GDSS, biased", "min"),
    Measure("clustering_mmd", "MMD² of clustering coefficients with the kernel of GraphRNN and GDSS, biased", "min"),
    Measure(
        "orbit_mmd", "MMD² of orbits in subgraphs of four nodes with the kernel of GraphRNN and GDSS, biased", "min"
    ),
    Measure("spectrum_mmd", "MMD² of the Laplacian's eigenvalues with the kernel of GraphRNN and GDSS, biased", "min"),
    Measure("degree_mmd_tv", "MMD² of degrees with the kernel of SPECTRE and DiGress, biased", "min"),
    Measure(
        "clustering_mmd_tv", "MMD² of clustering coefficients with the kernel of SPECTRE and DiGress, biased", "min"
    ),
    Measure(
        "orbit_mmd_tv",
        "MMD² of orbits in subgraphs of four nodes with the kernel of SPECTRE and DiGress, biased",
        "min",
    ),
    Measure(
        "spectrum_mmd_tv", "MMD² of the Laplacian's eigenvalues with the kernel of SPECTRE and DiGress, biased", "min"
    ),
    Measure("mean_mmd", "mean of degree_mmd, clustering_mmd and orbit_mmd, as GDSS averages them", "min"),
    Measure("degree_mmd_ratio", "degree_mmd over that of as many training graphs", "near 1"),
    Measure("clustering_mmd_ratio", "clustering_mmd over that of as many training graphs", "near 1"),
    Measure("orbit_mmd_ratio", "orbit_mmd over that of as many training graphs", "near 1"),
    Measure("spectrum_mmd_ratio", "spectrum_mmd over that of as many training graphs", "near 1"),
    Measure("degree_mmd_tv_ratio", "degree_mmd_tv over that of as many training graphs", "near 1"),
    Measure("clustering_mmd_tv_ratio", "clustering_mmd_tv over that of as many training graphs", "near 1"),
    Measure("orbit_mmd_tv_ratio", "orbit_mmd_tv over that of as many training graphs", "near 1"),
    Measure("spectrum_mmd_tv_ratio", "spectrum_mmd_tv over that of as many training graphs", "near 1"),
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
