"""Millions of pictures on many machines: Ray shares out the work (the extra ``ray``), and the records are those of
``iqassay score``. docs/scaling.md has the numbers.

>>> import ray, iqassay.cluster
>>> pictures = ray.data.read_binary_files("s3://bucket/photos/", include_paths=True)  # doctest: +SKIP
>>> iqassay.cluster.score_dataset(pictures).write_parquet("s3://bucket/scores/")  # doctest: +SKIP
"""

from iqassay.cluster.dataset import score_dataset

__all__ = ["score_dataset"]
