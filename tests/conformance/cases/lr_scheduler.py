"""mx.lr_scheduler: rates by the number of updates, what a schedule keeps, errors."""

import pickle

from harness import values


def setup(mx):
    scheduler = mx.lr_scheduler

    def rates(schedule, updates=range(12)):
        return [float(schedule(n)) for n in updates]

    def kept(schedule, *names):
        rates(schedule)
        return [float(getattr(schedule, name)) for name in names]

    def resumed(schedule):
        first = rates(schedule, range(5))
        return first + rates(pickle.loads(pickle.dumps(schedule)), range(5, 10))

    def from_update(schedule, start):
        return rates(schedule, range(start, start + 4))

    return {
        "Base": scheduler.LRScheduler,
        "Factor": scheduler.FactorScheduler,
        "Multi": scheduler.MultiFactorScheduler,
        "Poly": scheduler.PolyScheduler,
        "Cosine": scheduler.CosineScheduler,
        "rates": rates,
        "kept": kept,
        "resumed": resumed,
        "from_update": from_update,
    }


values(
    __name__,
    setup,
    """
    rates(Factor(3))
    rates(Factor(3, 0.5, base_lr=1.0))
    rates(Factor(1, 0.1, stop_factor_lr=0.005, base_lr=1.0))
    rates(Factor(2, 0.5, base_lr=1.0, warmup_steps=4))
    rates(Factor(2, 0.5, base_lr=1.0, warmup_steps=4, warmup_begin_lr=0.5))
    rates(Factor(2, 0.5, base_lr=1.0, warmup_steps=4, warmup_begin_lr=0.5, warmup_mode="constant"))
    rates(Factor(2.5, 0.5, base_lr=1.0))
    rates(Factor(2, -0.5, base_lr=1.0))
    rates(Factor(2, 0.5, base_lr=1.0), [7, 3, 1, 9])
    rates(Multi([2, 5]))
    rates(Multi([2, 5, 6], 0.5, base_lr=1.0))
    rates(Multi([2, 5], 0.5, base_lr=1.0, warmup_steps=3))
    rates(Multi([2, 5], 0.5, base_lr=1.0), [7, 3, 1, 9])
    rates(Poly(10))
    rates(Poly(8, 1.0, 3, 0.1))
    rates(Poly(8, base_lr=1.0, pwr=0.5, warmup_steps=3))
    rates(Poly(8, base_lr=1.0, warmup_steps=3, warmup_begin_lr=0.1, warmup_mode="constant"))
    rates(Poly(2, base_lr=1.0, warmup_steps=3))
    rates(Poly(8, base_lr=1.0), [5, 9, 2, 20])
    rates(Cosine(10))
    rates(Cosine(8, 1.0, 0.1))
    rates(Cosine(8, base_lr=1.0, warmup_steps=3, warmup_begin_lr=0.25))
    from_update(Factor(3, 0.5, base_lr=1.0), 8)
    from_update(Multi([2, 5, 9], 0.5, base_lr=1.0), 6)
    from_update(Poly(10, base_lr=1.0), 6)
    resumed(Factor(2, 0.5, base_lr=1.0))
    resumed(Multi([2, 6], 0.5, base_lr=1.0))
    resumed(Poly(8, base_lr=1.0, warmup_steps=2))
    resumed(Cosine(8, base_lr=1.0, warmup_steps=2))
    kept(Factor(3, 0.5), "base_lr", "count", "step", "factor", "stop_factor_lr", "warmup_steps")
    kept(Factor(3, 0.5), "warmup_final_lr", "warmup_begin_lr")
    kept(Multi([3, 4], 0.5), "base_lr", "count", "cur_step_ind", "factor")
    kept(Poly(9, warmup_steps=2), "base_lr", "base_lr_orig", "max_update", "max_steps", "power")
    kept(Cosine(9, warmup_steps=2), "base_lr", "base_lr_orig", "max_steps", "final_lr")
    Base()(3)
    Base(warmup_steps=3).get_warmup_lr(2)
    Base(warmup_steps=3).get_warmup_lr(3)
    Base(warmup_steps=1.5)
    Base(warmup_steps=-1)
    Base(0.1, warmup_begin_lr=1)
    Base(warmup_mode="x")
    Factor(0)
    Factor(2, 1.5)
    Multi((1, 2))
    Multi([])
    Multi([2, 1])
    Multi([2, 2])
    Multi([0, 1])
    Multi([1], 2)
    Poly(2.5)
    Poly(0)
    Cosine(2.5)
    Cosine(0)
    """,
)
