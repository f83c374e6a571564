# %% [markdown]
# # Notebook train_fork_replay
# %%
print(1 + 1)
