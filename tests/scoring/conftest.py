from tests.scoring.fixtures import scorer, second_models_dir, workplace
from tests.scoring.streams import stream

__all__ = ["scorer", "second_models_dir", "stream", "workplace"]
