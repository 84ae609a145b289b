"""`millrace demo`: the main job on MovieLens 100K, from three doors to recommendations, narrated."""
