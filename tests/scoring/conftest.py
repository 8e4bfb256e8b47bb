from tests.scoring.fixtures import scorer, second_models_dir, workplace

__all__ = ["scorer", "second_models_dir", "workplace"]
