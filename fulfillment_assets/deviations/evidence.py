"""How strongly a segment's orders speak against its baseline, as an e-value in SQL.

Two things are held against the baseline: the share of orders that are not expected on time, and
the mean delay probability. The share is a coin: with q its usual value, y the observed one and n
orders, the likelihood ratio of another coin q' is

    exp(n (y ln(q' / q) + (1 - y) ln((1 - q') / (1 - q)))).

The mean m, with variance v, is a coin at worst: of all random variables that are at most 1, the one
with only the values 1 and m - v / (1 - m) has the greatest moment-generating function (Bennett
1962, section 3). So the ratio for q = v / (v + (1 - m)^2) and y = q + (observed - m) / (1 - m +
v / (1 - m)) is a supermartingale for probabilities of any distribution. The e-value is the mean of
both coins' ratios over several q' (the method of mixtures, Robbins 1970), so that small and large
rises count, of either kind.

By Ville's inequality it exceeds 1 / a at any time with probability at most a, however often one
looks (Howard, Ramdas, McAuliffe and Sekhon 2021). n is the effective number of orders: fewer where
the baseline is short (n / baseline_orders) or its hours vary more than chance (dispersion).
"""

from __future__ import annotations

from typing import Final

_STEPS: Final = (0.08, 0.12, 0.18, 0.27, 0.4, 0.6)
"""How far q' goes from q towards 1: each alternative is half as far again as the one before."""

HOURS_PER_DAY: Final = 24

# A mean of 1 or a variance of 0 has no coin. The greatest exponent is taken out of the mean of
# exponentials, which has no float otherwise.
LOG_E: Final = f"""
CROSS JOIN LATERAL (
    SELECT greatest(1 - t.mean, 0.001) AS room, greatest(t.variance, 0.0001) AS variance,
           t.orders / (1 + t.orders / t.baseline_orders) AS effective_orders
) AS bounded
CROSS JOIN LATERAL (
    SELECT bounded.variance / (bounded.variance + room ^ 2) AS q,
           room + bounded.variance / room AS width
) AS worst
CROSS JOIN LATERAL (
    SELECT most + ln(avg(exp(greatest(-600, log_ratio - most)))) AS log_e FROM (
        SELECT log_ratio, max(log_ratio) OVER () AS most FROM (
            SELECT n * (y * ln((coin.q + step * (1 - coin.q)) / coin.q) + (1 - y) * ln(1 - step))
                       AS log_ratio
            FROM (VALUES
                (worst.q, worst.q + t.excess / width, effective_orders / t.dispersion),
                (least(greatest(t.usual_late, 0.001), 0.999), t.late,
                 effective_orders / t.late_dispersion)
            ) AS coin (q, y, n)
            CROSS JOIN unnest(ARRAY[{", ".join(map(str, _STEPS))}]::float8[]) AS step
        ) AS ratios
    ) AS ratios
    GROUP BY most
) AS evidence
"""
"""SQL: joins `log_e`, the natural logarithm of e, to rows `t` of orders, excess and late (the
observed share), and the baseline's mean, variance, dispersion, usual_late, late_dispersion and
baseline_orders; all are float8."""

LOG_BAR: Final = f"ln({HOURS_PER_DAY} * segments / :false_alarms_per_day)"
"""SQL: the logarithm of the e-value from which on one of `segments` segments is in breach.

Each hour has its share of the day's false alarms. Where k segments reach a k-th of it, all k are in
breach: that is the Benjamini-Hochberg procedure for e-values (Wang and Ramdas 2022), which allows
segments that overlap. It raises a first false alarm only if the segments' mean e-value exceeds
24 / `false_alarms_per_day`, which Ville's inequality bounds over the whole hour.
"""
